// In place of react-style-singleton, which writes <style> tags to lock scrolling behind dialogs. The content policy forbids
// those, and the page itself never scrolls.

const nothing = (): null => null;
export const styleSingleton = (): (() => null) => nothing;
export const stylesheetSingleton = (): { add: () => void; remove: () => void } => ({
  add: () => undefined,
  remove: () => undefined,
});
export const styleHookSingleton = (): (() => void) => () => undefined;
