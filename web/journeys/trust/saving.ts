// Files that two people save, disks that are full, servers that go away: nothing is written over, nothing is lost.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { Editor } from "../lib/editor";

const prompt = (editor: Editor) => editor.node("Prompt").locator("textarea");

async function saveAs(editor: Editor, name: string): Promise<void> {
  await editor.keys("Control+s");
  const dialog = editor.page.getByRole("dialog");
  await dialog.getByRole("textbox").fill(name);
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "hidden" });
}

async function openSaved(editor: Editor, name: string): Promise<void> {
  const files = await editor.panel("Files");
  await files.getByRole("button", { name: "Saved", exact: true }).click();
  await files.getByRole("button", { name: new RegExp(`^${name}`) }).first().click();
  await editor.tab(name).first().waitFor();
  await editor.closePanel();
}

/** Fill the disk under a folder; answers what makes room again. Without the right to mount, the folder is locked instead. */
function fill(folder: string): { readonly says: RegExp; readonly room: () => void } {
  mkdirSync(folder, { recursive: true });
  if (process.getuid?.() === 0) {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
    writeFileSync(join(folder, "filler"), Buffer.alloc(64 * 1024 - 4096));
    return { says: /The disk is full\. Free some space\./, room: () => rmSync(join(folder, "filler")) };
  }
  chmodSync(folder, 0o500);
  return { says: /The file cannot be written\./, room: () => chmodSync(folder, 0o700) };
}

export function savingJourneys(at: Desk): void {
  const workflow = (name: string): string => readFileSync(join(at.server.base, "user", "default", "workflows", `${name}.json`), "utf8");

  test("two that save one file both keep their work, and older versions can be had back", async () => {
    const [mine, theirs] = [await at.open(), await at.open()];
    await prompt(mine).fill("a red circle");
    await saveAs(mine, "shared");
    await mine.notice("shared is saved").waitFor();
    await openSaved(theirs, "shared");

    await prompt(mine).fill("mine");
    await mine.keys("Control+s");
    await expect.poll(() => workflow("shared")).toContain('"mine"');

    await prompt(theirs).fill("theirs");
    await theirs.keys("Control+s");
    const dialog = theirs.page.getByRole("dialog", { name: "“shared” was changed elsewhere" });
    await dialog.waitFor();
    for (const name of ["Save a copy", "Open theirs", "Write over it", "Cancel"]) expect(await dialog.getByRole("button", { name }).count()).toBe(1);
    expect(workflow("shared")).not.toContain('"theirs"');

    await dialog.getByRole("button", { name: "Open theirs" }).click();
    await expect.poll(() => theirs.tab("shared").count()).toBe(2);
    await expect.poll(() => prompt(theirs).inputValue()).toBe("mine");
    await theirs.tab("shared").first().click();
    await expect.poll(() => prompt(theirs).inputValue()).toBe("theirs");

    await theirs.keys("Control+s");
    await dialog.getByRole("button", { name: "Save a copy" }).click();
    await theirs.page.getByRole("dialog", { name: "Save as…" }).getByRole("button", { name: "Save" }).click();
    await theirs.tab("shared copy").waitFor();
    expect([workflow("shared"), workflow("shared copy")].map((text) => /"(mine|theirs)"/.exec(text)?.[1])).toEqual(["mine", "theirs"]);

    const files = await mine.panel("Files");
    await files.getByRole("button", { name: "Versions" }).click();
    const versions = files.locator(".file-list .file");
    await expect.poll(() => versions.count()).toBe(2);
    await versions.last().click();
    await expect.poll(() => prompt(mine).inputValue()).toBe("a red circle");
    await mine.close();
    await theirs.close();
  });

  test("two tabs of one browser hear of each other's saving; writing over keeps the other as a version", async () => {
    const one = await at.open();
    await saveAs(one, "twice");
    const other = await Editor.within(one.context, at.server);
    await openSaved(other, "twice");
    await one.notice("twice is open in another tab or window too").waitFor();
    await prompt(one).fill("of one");
    await one.keys("Control+s");
    await other.notice("twice was saved in another tab or window").waitFor();
    await prompt(other).fill("of the other");
    await other.keys("Control+s");
    await other.page.getByRole("dialog").getByRole("button", { name: "Write over it" }).click();
    await expect.poll(() => workflow("twice")).toContain('"of the other"');
    const kept = (await at.server.get<{ path: string }[]>("/api/userdata?dir=workflows/.versions/twice.json&full_info=true")).length;
    expect(kept).toBe(3);
    await one.close();
  });

  test("a full disk is said where one saves, nothing is lost, and saving again works once there is room", async () => {
    const folder = join(at.server.base, "user", "default", "workflows", "full");
    const { says, room } = fill(folder);
    try {
      const editor = await at.open();
      await prompt(editor).fill("too much for this disk");
      await saveAs(editor, "full/work");
      const notice = editor.notice("work could not be saved");
      await notice.waitFor();
      expect(await notice.innerText()).toMatch(says);
      expect(await notice.innerText()).toContain("Nothing is lost");
      await expect.poll(() => editor.tab("Text to image").getAttribute("aria-label")).toContain("not saved");
      room();
      await saveAs(editor, "full/work");
      await editor.notice("work is saved").waitFor();
      expect(workflow("full/work")).toContain('"too much for this disk"');
      expect(editor.watched.complaints.filter((text) => !text.includes("507"))).toEqual([]);
      expect(await prompt(editor).inputValue()).toBe("too much for this disk");
    } finally {
      if (process.getuid?.() === 0) execFileSync("umount", ["-l", folder]);
    }
  });

  test("a server that goes away is said; editing goes on, what could not be sent says so, and all works once it is back", async () => {
    const editor = await at.open();
    const drafts = async (): Promise<number> => (await at.server.get<unknown[]>("/api/userdata?dir=drafts&full_info=true")).length;
    const before = await drafts();
    await at.server.down();
    await editor.page.getByRole("alert").getByText("The server does not answer.").waitFor();
    await prompt(editor).fill("written meanwhile");
    await editor.runButton.click();
    await editor.notice("The run could not be sent").waitFor();
    await saveAs(editor, "meanwhile");
    expect(await editor.notice("meanwhile could not be saved").innerText()).toMatch(/The server does not answer\. Nothing is lost/);
    await at.server.up();
    await editor.page.getByRole("alert").getByText("The server does not answer.").waitFor({ state: "hidden" });
    await expect.poll(drafts).toBe(before + 1);
    await saveAs(editor, "meanwhile");
    await expect.poll(() => workflow("meanwhile")).toContain('"written meanwhile"');
    const job = await editor.run();
    expect(Object.values(job.prompt).map(({ inputs }) => inputs["text"])).toContain("written meanwhile");
  });
}
