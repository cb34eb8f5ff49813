// What people rely on: their work is there, whatever ends; texts stay texts. One server for all of it, which is killed now
// and then.

import { describe } from "vitest";
import { desk } from "./lib/desk";
import { draftsJourneys } from "./trust/drafts";
import { hostileJourneys, withHostileFiles } from "./trust/hostile";
import { reconnectJourneys } from "./trust/reconnect";
import { savingJourneys } from "./trust/saving";

const at = desk(withHostileFiles);

describe("texts that try to be script", () => hostileJourneys(at));
describe("saving", () => savingJourneys(at));
describe("the line to the server", () => reconnectJourneys(at));
describe("pages that end", () => draftsJourneys(at));
