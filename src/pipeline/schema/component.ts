import * as z from "zod";
import { containerShape } from "./container.ts";
import { block, byteSize, choice, duration, flag, mapping, text, wholeNumber } from "./scalars.ts";

const eventTypes = (what: string) =>
  z.array(text("an event type"), { error: "a list of event types" }).describe(`${what} Default: any.`);

const buffer = block(
  {
    type: choice(["memory", "disk"]).optional().describe("Where buffered events are stored. Default: memory."),
    max_events: wholeNumber(1, "an integer ≥ 1").optional().describe("Maximum number of buffered events."),
    max_bytes: byteSize(1).optional().describe("Maximum size of the buffer, such as `64M`."),
    when_full: choice(["block", "drop_newest", "drop_oldest"])
      .optional()
      .describe("What happens when the buffer is full. Default: block, which slows down the upstream component."),
  },
  "a mapping",
);

const input = z.union(
  [
    text("a component id"),
    block(
      {
        from: text("a component id").describe("The id of the upstream component."),
        types: eventTypes("Event types to take from it.").optional(),
        buffer: buffer.optional().describe("The buffer between the two components."),
      },
      "a mapping with `from`",
    ),
  ],
  { error: "a component id, or a mapping with `from`" },
);

const onErrorAction = choice(["fail", "retry", "drop", "dead_letter"]);

const onError = z
  .union(
    [
      onErrorAction,
      block(
        {
          action: onErrorAction.describe("What to do with an event that fails."),
          to: text("a sink id").optional().describe("The sink that receives dead letters."),
          retries: wholeNumber(0, "an integer ≥ 0").optional().describe("Number of retries after the first attempt."),
          backoff: duration()
            .optional()
            .describe("Delay before the first retry; doubles with each retry. Default: 1s."),
        },
        "a mapping with `action`",
      ),
    ],
    { error: "one of `fail`, `retry`, `drop`, `dead_letter`, or a mapping with `action`" },
  )
  .describe("What to do with an event that the component cannot process. Default: fail.");

/** One source, processor or sink. Which keys fit which of the three is a matter of the lint, whose messages say why. */
export const componentSchema = block(
  {
    uses: text("a built-in component name").optional().describe("The built-in component to run."),
    with: mapping(z.unknown(), "settings").nullable().optional().describe("Settings of the component."),
    inputs: z
      .array(input, { error: "a list of component ids" })
      .optional()
      .describe("The upstream components. Sources have none."),
    consumes: eventTypes("Event types that the component consumes.").optional(),
    produces: eventTypes("Event types that the component produces.").optional(),
    on_error: onError.optional(),
    partition_by: text("an event path")
      .optional()
      .describe(
        "An event path, such as `payload.customer`. Events with the same value go to the same instance, in order.",
      ),
    inherit_environment: flag()
      .optional()
      .describe(
        "As a process: inherit the whole environment in which the pipeline was started, except for the sources of secrets, instead of only " +
          "the usual variables such as `PATH` and `HOME`. No effect on Docker. Default: false.",
      ),
    ...containerShape,
  },
  "a mapping",
);

export const serviceSchema = block(containerShape, "a mapping");
