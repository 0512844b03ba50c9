/** What is fetched by a name that may mean something else tomorrow, with its line. */
export function notPinned(text: string): readonly { readonly line: number; readonly named: string }[];
