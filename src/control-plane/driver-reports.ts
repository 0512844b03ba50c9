import type { Clock } from "../foundation/clock.ts";
import type { InstanceReport } from "../protocol/records.ts";
import { describeReport, type InstanceData, type InstanceEntry, newVitals } from "./instance.ts";
import type { Operations } from "./operations.ts";
import { isEnded, type Roster } from "./roster.ts";
import { takesAlong } from "./transition.ts";

export interface DriverReportsOptions {
  readonly clock: Pick<Clock, "now">;
  readonly roster: Roster;
  readonly operations: Operations;
  /** Whether the end of an instance is meant. */
  readonly isToEnd: (componentId: string, instanceId: string) => boolean;
}

/** What drivers see of instances from outside: that their programs start, end, and are taken away. */
export class DriverReports {
  readonly #clock: Pick<Clock, "now">;
  readonly #roster: Roster;
  readonly #operations: Operations;
  readonly #isToEnd: DriverReportsOptions["isToEnd"];

  constructor({ clock, roster, operations, isToEnd }: DriverReportsOptions) {
    this.#clock = clock;
    this.#roster = roster;
    this.#operations = operations;
    this.#isToEnd = isToEnd;
  }

  /**
   * What a driver saw. `at` is when: what happened before the current program
   * registered, or before its last change of state, is about an earlier one and changes nothing.
   */
  report(report: InstanceReport, at: number): void {
    const { componentId, instanceId } = report;
    const spec = this.#roster.pipeline.spec?.components.find((component) => component.id === componentId);
    const known = this.#roster.instances.get(componentId, instanceId);
    if (spec === undefined && known === undefined) return;
    this.#roster.event({
      type: `instance.${report.observation}`,
      componentId,
      instanceId,
      message: describeReport(report, spec),
      attributes: report.observation === "exited" ? { exit_code: String(report.exitCode ?? 0) } : {},
    });
    const entry = known ?? this.#roster.newInstance(componentId, instanceId);
    const isCurrent = at >= entry.data.registeredAt;
    if (report.observation === "started") {
      this.#operations.startedOne(instanceId, at);
      this.#started(entry, at);
    }
    if (report.observation === "exited" && isCurrent) this.#exited(entry, describeReport(report, spec));
    else if (report.observation === "removed" && isCurrent && entry.data.state.name !== "completed") {
      this.#removed(entry.data);
    }
    this.#roster.assess(entry.data);
    this.#roster.changed();
  }

  #started(entry: InstanceEntry, at: number): void {
    const { data, vitals } = entry;
    const isLater = data.live && at > data.registeredAt;
    const begins = vitals.exit !== "" || isLater || (isSettled(data) && at > data.state.since);
    const now = this.#clock.now();
    // What is known of how the program did is about the one before.
    // Said beforehand and seen afterwards, it is one start.
    const starts = begins || data.starts === 0 ? data.starts + 1 : data.starts;
    this.#roster.put({ data: { ...data, starts }, vitals: begins ? newVitals(now) : vitals });
    if (!begins) return;
    this.#roster.move(data, { name: "starting", since: now, reason: "restarted, has not registered yet" });
    if (this.#roster.desire(data.componentId, data.id) === "stopped")
      this.#roster.stop(data, "desired state is stopped");
  }

  #exited(entry: InstanceEntry, how: string): void {
    this.#roster.put({ ...entry, vitals: { ...entry.vitals, exit: how, endedAt: this.#clock.now() } });
    if (this.#isToEnd(entry.data.componentId, entry.data.id)) this.#roster.stop(entry.data, "");
    this.#roster.removeIfSurplus({ ...entry.data, live: false });
  }

  /** Somebody took it away. Only what has handed on everything has left: what has not, and is gone, is not forgotten. */
  #removed(data: InstanceData): void {
    const { componentId, id } = data;
    const desire = this.#roster.desire(componentId, id);
    // Of what is to be stopped it stays known that it is.
    if (desire === "stopped") return;
    const others = this.#roster.instances.dataOf(componentId).filter((other) => other.id !== id);
    const { spec } = this.#roster.pipeline;
    const component = spec?.components.find((one) => one.id === componentId);
    if (desire === "leaving" && component !== undefined && takesAlong(spec!, component, data, others)) {
      this.#roster.fail(componentId, id, "was removed before it had drained: the events it held are not delivered");
    } else this.#roster.remove(data);
  }
}

/** Whether an instance has ended, or is to. */
function isSettled(data: InstanceData): boolean {
  return isEnded(data) || data.state.name === "stopping";
}
