import * as z from "zod";
import { containerShape } from "./container.ts";
import { block, byteSize, choice, duration, mapping, text, wholeNumber } from "./scalars.ts";

const eventTypes = (what: string) =>
  z.array(text("an event type"), { error: "a list of event types" }).describe(`${what} None: any.`);

const buffer = block(
  {
    type: choice(["memory", "disk"]).optional().describe("Where waiting events are kept. Default: memory."),
    max_events: wholeNumber(1, "a whole number of at least 1").optional().describe("Most events that wait."),
    max_bytes: byteSize(1).optional().describe("Most bytes that wait, such as `64M`."),
    when_full: choice(["block", "drop_newest", "drop_oldest"])
      .optional()
      .describe("What happens when it is full. Default: block, which slows the upstream down."),
  },
  "a mapping",
);

const input = z.union(
  [
    text("the id of a component"),
    block(
      {
        from: text("the id of a component").describe("Id of the upstream component."),
        types: eventTypes("Only these event types.").optional(),
        buffer: buffer.optional().describe("Where events wait on this edge."),
      },
      "a mapping with `from`",
    ),
  ],
  { error: "the id of a component, or a mapping with `from`" },
);

const onErrorAction = choice(["fail", "retry", "drop", "dead_letter"]);

const onError = z
  .union(
    [
      onErrorAction,
      block(
        {
          action: onErrorAction.describe("What happens to an event that fails."),
          to: text("the id of a sink").optional().describe("The sink that dead letters go to."),
          retries: wholeNumber(0, "a whole number of at least 0").optional().describe("Attempts after the first."),
          backoff: duration().optional().describe("First delay between attempts; it doubles. Default: 1s."),
        },
        "a mapping with `action`",
      ),
    ],
    { error: "one of `fail`, `retry`, `drop`, `dead_letter`, or a mapping with `action`" },
  )
  .describe("What happens to a single event that the component cannot handle. Default: fail.");

/** One source, processor or sink. Which keys fit which of the three is a matter of the lint, whose messages say why. */
export const componentSchema = block(
  {
    uses: text("the name of a built-in component").optional().describe("A built-in component."),
    with: mapping(z.unknown(), "settings").nullable().optional().describe("The settings of the component."),
    inputs: z
      .array(input, { error: "a list of component ids" })
      .optional()
      .describe("The components whose events it takes. Sources take none."),
    consumes: eventTypes("Event types it takes.").optional(),
    produces: eventTypes("Event types it gives.").optional(),
    on_error: onError.optional(),
    partition_by: text("a path into the event")
      .optional()
      .describe("A path into the event, such as `payload.customer`: equal values stay in order, on one instance."),
    ...containerShape,
  },
  "a mapping",
);

export const serviceSchema = block(containerShape, "a mapping");
