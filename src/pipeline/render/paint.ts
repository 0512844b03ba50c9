/** What a piece of text is, for whoever colours it. */
export type TextRole = "error" | "warning" | "code" | "place" | "caret" | "fix" | "gutter" | "id" | "dim";

/** Colours a text, or not; it must not change its width. */
export type Paint = (role: TextRole, text: string) => string;

/** No colours. */
export const plainPaint: Paint = (_role, text) => text;

/** A text that cannot move the cursor of a terminal or change its colours: control characters become `�`. */
export function harmless(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}
