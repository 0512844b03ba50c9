import type { Partition } from "../../protocol/records.ts";

/** Who reads a partition, as it is kept. Plain JSON. */
export interface PartitionData extends Partition {
  readonly componentId: string;
  /** The instance that reads it, or is to; empty when nobody does. */
  readonly owner: string;
  /** Grows each time the partition is given to an instance; what is said under an earlier number is not heard. */
  readonly epoch: number;
  /** It has ended, and everything that came of it is acknowledged. */
  readonly finished: boolean;
}

/** What the instances of a source share between them, as it is kept. Plain JSON. */
export interface SourceData {
  readonly componentId: string;
  /** As the program said that registered last. */
  readonly declared: readonly Partition[];
  /** Everything was finished and everybody has gone: the next program to register begins a new run. */
  readonly over: boolean;
}
