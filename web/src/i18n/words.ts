// The words of a language: one file for each area of the editor.

export type Words = Readonly<Record<string, string>>;

export const merged = (files: Record<string, Words>): Words => Object.assign({}, ...Object.values(files)) as Words;
