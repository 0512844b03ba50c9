import type { Partition } from "../../sdk/index.ts";

/**
 * The numbers of a generator in shards, so that any number of instances can share them and none is lost or made twice when their
 * number changes. Both figures are fixed: positions are kept by shard. 12 shards go evenly to 1, 2, 3, 4, 6 or 12 instances; a
 * shard has runs of numbers, so that what is made one after the other is mostly of one shard, which is cheaper.
 */
export const shardCount = 12;
const runLength = 64;

/** The shards of the generator of one seed: another seed makes other events, from number 1. */
export function shardsOf(seed: number): readonly Partition[] {
  const identity = `seed=${seed} shards=${shardCount} run=${runLength}`;
  return Array.from({ length: shardCount }, (_, shard) => ({ id: String(shard), identity }));
}

/** The first number above `after` that is of the shard. */
export function nextOfShard(shard: number, after: number): number {
  const next = after + 1;
  const run = Math.floor((next - 1) / runLength);
  const ahead = (((shard - run) % shardCount) + shardCount) % shardCount;
  return ahead === 0 ? next : (run + ahead) * runLength + 1;
}

/** Whether a number is the last of its run. */
export function endsRun(number: number): boolean {
  return number % runLength === 0;
}
