import type { Assignment, Topology } from "../protocol/records.ts";

/** What of the topology says which partitions a source reads. */
export type AssignmentNews = Pick<Topology, "assignments" | "partitionsFinished">;

/** Between the session, which hears what a source is to read, and the source, which says what it reads. */
export class AssignmentFeed {
  private newest: AssignmentNews | undefined;
  private listener: ((news: AssignmentNews) => void) | undefined;
  /** What is read now; told to a control plane that has lost its memory. */
  held: () => readonly Assignment[] = () => [];

  tell(news: AssignmentNews): void {
    this.newest = news;
    this.listener?.(news);
  }

  /** Calls the listener with what is known, if anything is, and with whatever comes. One listener. */
  follow(listener: (news: AssignmentNews) => void): void {
    this.listener = listener;
    if (this.newest !== undefined) listener(this.newest);
  }
}
