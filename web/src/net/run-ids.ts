// Ids of jobs, chosen here: then nothing that is heard of a job comes before its id, and sending twice is harmless.
// The jobs of one press of Run differ in the last four hex digits alone, so that any list can group them.

const PLACES = 4;
const MOST = 16 ** PLACES;

/** `count` job ids that belong together. */
export function jobIds(count: number, random: string = randomUuid()): string[] {
  const run = random.slice(0, -PLACES);
  const first = Number.parseInt(random.slice(-PLACES), 16);
  return Array.from({ length: count }, (_, place) =>
    run + ((first + place) % MOST).toString(16).padStart(PLACES, "0"),
  );
}

/** What the jobs of one run have in common. */
export const runOf = (jobId: string): string => (UUID.test(jobId) ? jobId.slice(0, -PLACES) : jobId);

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** `crypto.randomUUID` is missing on pages that come over plain HTTP from another machine. */
export function randomUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
