// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createStore } from "zustand/vanilla";
import { JobsBoard } from "./jobs-board";
import { createJobsStore, type JobsStore } from "./jobs-store";
import type { LiveState } from "./run-controller";
import { fakeJobs, fakeJobsClient, type FakeClient } from "./samples";

beforeAll(() => {
  // jsdom lays nothing out: every element is as large as the panel usually is.
  vi.spyOn(Element.prototype, "clientHeight", "get").mockReturnValue(640);
  vi.spyOn(Element.prototype, "clientWidth", "get").mockReturnValue(400);
  HTMLElement.prototype.setPointerCapture = () => undefined;
  HTMLElement.prototype.hasPointerCapture = () => false;
});
beforeEach(() => localStorage.clear());
let store: JobsStore | undefined;
afterEach(() => {
  cleanup();
  store?.close();
});

async function show(count: number, waiting = 0): Promise<{ client: FakeClient; jobs: JobsStore; onOpenWorkflow: ReturnType<typeof vi.fn> }> {
  const client = fakeJobsClient(fakeJobs(count, waiting));
  const jobs = createJobsStore(client, { isOpen: () => false, listen: () => () => undefined });
  store = jobs;
  await jobs.getState().refresh();
  const live = createStore<LiveState>()(() => ({ jobs: {} }));
  const onOpenWorkflow = vi.fn();
  render(<JobsBoard jobs={jobs} live={live} client={{ viewUrl: (file) => `/view/${file.filename}` }} onOpenWorkflow={onOpenWorkflow} />);
  return { client, jobs, onOpenWorkflow };
}

const rows = (): HTMLElement[] => screen.getAllByRole("listitem");
const rowOf = (name: string): HTMLElement => {
  const found = rows().find((row) => row.textContent?.includes(name));
  if (found === undefined) throw new Error(`no row of ${name}`);
  return found;
};
const names = (): string[] => rows().flatMap((row) => row.querySelector(".job-name")?.textContent ?? []);

describe("the panel of jobs", () => {
  it("says what to do while nothing has run", async () => {
    await show(0);
    expect(screen.getByText("Nothing has run yet.")).toBeTruthy();
  });

  it("draws only the rows in sight of ten thousand", async () => {
    await show(10_000, 200);
    expect(rows().length).toBeLessThan(40);
    expect(rows()[0]?.getAttribute("aria-setsize")).toBe(String(1 + 1 + 1 + 200 + 1 + 60));
  });

  it("has a tab for each state, with how many there are", async () => {
    await show(40, 3);
    const tabs = within(screen.getByRole("group", { name: "Which jobs" })).getAllByRole("button");
    expect(tabs.map((tab) => tab.textContent)).toEqual(["All", "Waiting3", "Running1", "Done38", "Failed2"]);
    fireEvent.click(screen.getByRole("button", { name: /^Failed/ }));
    await waitFor(() => expect(rows()).toHaveLength(2));
    expect(rows()[0]?.textContent).toContain("The picture is empty.");
  });

  it("shows the names of jobs, once their rows stand still", async () => {
    await show(2);
    await waitFor(() => expect(names()).toEqual(["Sample 2", "Sample 1"]));
  });

  it("takes a waiting job out of the queue with one click", async () => {
    const { client, jobs } = await show(0, 2);
    const [first] = jobs.getState().queue.waiting;
    await waitFor(() => rowOf("Sample 2"));
    fireEvent.click(screen.getByRole("button", { name: "Take Sample 2 out of the queue" }));
    await waitFor(() => expect(client.asked).toContain(`unqueue ${first?.id}`));
  });

  it("moves a waiting job with one click, and with Alt and an arrow", async () => {
    const { jobs } = await show(0, 3);
    const order = (): number[] => jobs.getState().queue.waiting.map((job) => job.number);
    await waitFor(() => rowOf("Sample 4"));
    fireEvent.click(screen.getByRole("button", { name: "Run Sample 4 earlier" }));
    await waitFor(() => expect(order()).toEqual([2, 4, 3]));
    const row = rowOf("Sample 3");
    act(() => row.focus());
    fireEvent.keyDown(row, { key: "ArrowUp", altKey: true });
    await waitFor(() => expect(order()).toEqual([2, 3, 4]));
  });

  it("chooses a range with Shift, and deletes it with one click", async () => {
    const { client } = await show(10);
    await waitFor(() => rowOf("Sample 10"));
    fireEvent.click(screen.getByRole("checkbox", { name: "Choose Sample 10" }));
    fireEvent.click(screen.getByRole("checkbox", { name: "Choose Sample 7" }), { shiftKey: true });
    expect(screen.getByText("4 jobs chosen")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Delete from the list" }));
    await waitFor(() => expect(client.asked.find((what) => what.startsWith("forget"))?.split(",")).toHaveLength(4));
    await waitFor(() => expect(names()).toEqual(["Sample 6", "Sample 5", "Sample 4", "Sample 3", "Sample 2", "Sample 1"]));
  });

  it("pauses the queue, and says that it is paused", async () => {
    await show(1, 1);
    fireEvent.click(screen.getByRole("button", { name: "Pause the queue" }));
    expect(await screen.findByText(/The queue is paused/)).toBeTruthy();
    expect(screen.getByRole("button", { name: "Let the queue go on" })).toBeTruthy();
  });

  it("opens the workflow of any job, and tries a failed one again", async () => {
    const { client, onOpenWorkflow } = await show(20);
    await waitFor(() => rowOf("Sample 20"));
    fireEvent.click(screen.getByRole("button", { name: "Open the workflow of Sample 20" }));
    await waitFor(() => expect(onOpenWorkflow).toHaveBeenCalled());
    fireEvent.click(screen.getByRole("button", { name: "Run Sample 20 again" }));
    await waitFor(() => expect(client.asked.some((what) => what.startsWith("retry"))).toBe(true));
  });

  it("keeps how the list looks over a reload", async () => {
    await show(3);
    fireEvent.click(screen.getByRole("button", { name: "Show as pictures" }));
    cleanup();
    await show(3);
    expect(screen.getByRole("button", { name: "Show as list" })).toBeTruthy();
    expect(screen.getAllByRole("button", { name: /^Look at/ })).toHaveLength(3);
  });
});

describe("the lightbox", () => {
  const look = async (): Promise<HTMLElement> => {
    fireEvent.click((await screen.findAllByRole("button", { name: /^Look at/ }))[0] as HTMLElement);
    return screen.findByRole("dialog");
  };
  const title = (): string => screen.getByRole("dialog").querySelector(".lightbox-title")?.textContent ?? "";

  it("goes through the pictures with the arrow keys, and closes with Escape", async () => {
    await show(9);
    const dialog = await look();
    expect(title()).toContain("picture_9.png");
    fireEvent.keyDown(dialog, { key: "ArrowRight" });
    expect(title()).toContain("picture_8.png");
    fireEvent.keyDown(dialog, { key: "End" });
    expect(title()).toContain("9 of 9");
    fireEvent.keyDown(dialog, { key: "Escape" });
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  });

  it("tells what made a picture, and what changed since the previous run of its workflow", async () => {
    await show(9);
    await look();
    const info = within(screen.getByRole("complementary"));
    expect((await info.findAllByText("a picture of the number 9")).length).toBeGreaterThan(0);
    expect(await info.findByLabelText("before: 6")).toBeTruthy();
    expect(info.getByLabelText("after: 9")).toBeTruthy();
  });

  it("compares with the previous run by a line that keys move, and side by side", async () => {
    await show(9);
    const dialog = await look();
    fireEvent.keyDown(dialog, { key: "c" });
    const line = await screen.findByRole("slider");
    fireEvent.change(line, { target: { value: "20" } });
    expect(line.getAttribute("aria-valuetext")).toBe("20 percent of A");
    fireEvent.keyDown(line, { key: "ArrowRight" });
    expect(title()).toContain("picture_9.png"); // the arrow was the line's
    fireEvent.keyDown(dialog, { key: "s" });
    expect(dialog.querySelectorAll("figure")).toHaveLength(2);
  });

  it("compares two chosen jobs", async () => {
    await show(9);
    await waitFor(() => rowOf("Sample 9"));
    fireEvent.click(screen.getByRole("checkbox", { name: "Choose Sample 9" }));
    fireEvent.click(screen.getByRole("checkbox", { name: "Choose Sample 5" }));
    fireEvent.click(screen.getByRole("button", { name: "Compare the two" }));
    const dialog = await screen.findByRole("dialog");
    expect(within(dialog).getByText("A · picture_5.png")).toBeTruthy();
    expect(within(dialog).getByText("B · picture_9.png")).toBeTruthy();
    expect(await within(dialog).findByText("Changed between the two")).toBeTruthy();
  });

  it("shows the next picture when one is deleted", async () => {
    await show(3);
    const dialog = await look();
    fireEvent.keyDown(dialog, { key: "Delete" });
    await waitFor(() => expect(title()).toContain("picture_2.png"));
  });
});
