import type { FileHead } from "./file-head.ts";

/** What a file is known again by. */
export interface FileMark extends FileHead {
  /** Counts the files that had the path, from 1, so that what is in the next one has other ids. */
  readonly version: number;
}

/** After a line or record: where in the (decompressed) file what follows begins, and how many lines come before it. */
export interface OffsetPosition {
  readonly offset: number;
  readonly line: number;
  /** Left out where it is followed: there inode and head tell. */
  readonly file?: FileMark;
}

/** In a followed file, which is replaced by another when it is rotated. */
export interface FollowPosition extends OffsetPosition {
  /** Counts the files that had the name, from 1, so that the same offset in the next file is another position. */
  readonly generation: number;
  /** Inode number, to find the file again under another name. */
  readonly inode: number;
  /** The inode of a file that was removed is given to another one. Left out by versions that did not look. */
  readonly head?: FileHead;
}

/** In an array of a JSON document: how many items come before. */
export interface ItemPosition {
  readonly item: number;
  readonly file?: FileMark;
}

export type FilePosition = OffsetPosition | FollowPosition | ItemPosition;

export function isOffset(position: FilePosition): position is OffsetPosition {
  return "offset" in position;
}

export function isFollow(position: FilePosition): position is FollowPosition {
  return "generation" in position;
}

export function isItem(position: FilePosition): position is ItemPosition {
  return "item" in position;
}
