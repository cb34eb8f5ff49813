/** `object` without one of its fields. */
export function omit<T extends object, K extends keyof T>(object: T, key: K): Omit<T, K> {
  const rest = { ...object };
  Reflect.deleteProperty(rest, key);
  return rest;
}
