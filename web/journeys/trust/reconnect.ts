// The line to the server goes in the middle of a run, in every way it can: afterwards the page shows what is the case.

import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import type { Editor } from "../lib/editor";
import { Line } from "../lib/line";

/** A run that takes some seconds (of another number of steps than any before, which would be remembered); answers when its sampler is at work. */
async function longRun(editor: Editor, steps: number): Promise<void> {
  await editor.number(editor.node("KSampler"), "steps", String(steps));
  await editor.runButton.click();
  await editor.node("KSampler").getByRole("progressbar").waitFor({ timeout: 60_000 });
}

const works = (editor: Editor) => editor.page.getByRole("progressbar", { name: "Progress of the run" });

/** The run has ended and the page shows so: a picture, the times of the nodes, nothing at work. */
async function isDone(editor: Editor): Promise<void> {
  await works(editor).waitFor({ state: "hidden", timeout: 60_000 });
  await editor.pictureOf(editor.node("Save Image")).waitFor();
  expect(await editor.page.locator(".run-running, .run-waiting").count()).toBe(0);
  expect(await editor.node("KSampler").locator(".n-mark").innerText()).toMatch(/ s$/);
}

export function reconnectJourneys(at: Desk): void {
  test("a line that drops during a run: the run goes on and is followed again", async () => {
    const line = await Line.to(at.server.url);
    const editor = await at.open({}, line.url);
    await longRun(editor, 120);
    await line.cut();
    await editor.page.getByText("No connection").waitFor();
    await line.mend();
    await isDone(editor);
    await editor.context.close();
    await line.cut();
  });

  test("a line that is gone until after the end of the run: once it is back, the page shows the picture", async () => {
    const line = await Line.to(at.server.url);
    const editor = await at.open({}, line.url);
    await longRun(editor, 60);
    await line.cut();
    await expect.poll(async () => (await at.server.get<{ queue_running: unknown[] }>("/queue")).queue_running.length, { timeout: 60_000 }).toBe(0);
    await editor.page.getByRole("alert").getByText("The server does not answer.").waitFor();
    await line.mend();
    await isDone(editor);
    await editor.context.close();
    await line.cut();
  });

  test("the page is reloaded during a run: it follows the run", async () => {
    const editor = await at.open();
    await longRun(editor, 121);
    await editor.page.reload();
    await works(editor).waitFor();
    await isDone(editor);
  });

  test("the server is killed during a run and comes back: the page shows the run as it is then, to its end", async () => {
    const editor = await at.open();
    await longRun(editor, 122);
    const { queue_running: running } = await at.server.get<{ queue_running: [number, string][] }>("/queue");
    const id = running[0]?.[1] ?? "";
    await at.server.down();
    await at.server.up();
    await editor.page.getByText("The server does not answer.").waitFor({ state: "hidden" });
    await expect.poll(async () => Object.keys(await at.server.get<object>(`/history/${id}`)).length, { timeout: 60_000 }).toBe(1);
    const { status } = (await at.server.get<Record<string, { status: { status_str: string } }>>(`/history/${id}`))[id] ?? { status: { status_str: "" } };
    expect(status.status_str).toBe("success");
    await isDone(editor);
  });
}
