// Frames a second, measured in windows of some seconds. The machine may be busy with something else, so the best window
// counts; every window is printed.

const SECONDS = 2.5;
const MOST = 5;

/** What counts as smooth, and what is too slow. */
export const GOAL = 50;
export const LEAST = 40;

/** Do `act(step)` over and over, in windows until one is smooth; answers the rates of all of them and the best. */
export async function frames(page, act) {
  const windows = [];
  while (windows.length < MOST && !windows.some((rate) => rate >= GOAL)) windows.push(await windowOf(page, act));
  return { fps: Math.max(...windows), windows };
}

async function windowOf(page, act) {
  await page.evaluate(() => {
    window.times = [];
    const tick = (now) => {
      window.times.push(now);
      window.ticking = requestAnimationFrame(tick);
    };
    window.ticking = requestAnimationFrame(tick);
  });
  const end = Date.now() + SECONDS * 1000;
  for (let step = 0; Date.now() < end; step++) await act(step);
  const times = await page.evaluate(() => {
    cancelAnimationFrame(window.ticking);
    return window.times;
  });
  return Math.round((10_000 * (times.length - 1)) / (times.at(-1) - times[0])) / 10;
}
