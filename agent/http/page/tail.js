// The live tail: what is asked for, what came, where one is in it.

import { events, Refused } from "./api.js";
import { byId, make, plural, say, write } from "./dom.js";
import { detail, head, itemsOf, note } from "./line.js";
import { LineList } from "./list.js";

export const LEVELS = ["trace", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
const HELD_MOST = 5000;
const MARKS_MOST = 100;
const TYPED_MS = 400;
const [RETRY_MS, RETRY_MOST_MS] = [1000, 10000];

export class Tail {
  /** `changed()`: what is chosen has changed. `locked()`: a token is wanted. */
  constructor({ changed, locked }) {
    this.changed = changed;
    this.locked = locked;
    this.chosen = new Set();
    this.text = "";
    this.level = "";
    this.paused = false;
    this.held = [];
    this.dropped = 0;
    this.skipped = 0;
    this.problem = "";
    this.refused = null;
    this.allowed = false;
    this.state = "connecting";
    this.list = new LineList(byId("lines"), {
      head: (item) => head(item, this.find), detail: (item) => detail(item, this.find), moved: () => this.show(),
    });
    this.list.match = (item) => this.matches(item);
    this.listen();
  }

  listen() {
    const filter = byId("filter");
    filter.addEventListener("input", () => this.ask({ text: filter.value }, TYPED_MS));
    byId("level").append(make("option", "", "all levels"), ...LEVELS.map((level) => make("option", "", level)));
    byId("level").options[0].value = "";
    byId("level").addEventListener("change", (event) => this.ask({ level: event.target.value }));
    byId("pause").addEventListener("click", () => this.pause());
    byId("clear").addEventListener("click", () => {
      this.list.clear();
      this.skipped = 0;
      this.show();
    });
    byId("follow").addEventListener("click", () => this.list.follow());
    byId("lines").addEventListener("keydown", (event) => this.key(event));
  }

  /** The agent shows lines, or says why not: only now is it asked for any. */
  allow(refused) {
    if (this.allowed && refused === this.refused) return;
    this.allowed = true;
    this.refused = refused;
    if (refused === null) {
      this.begin();
    } else {
      this.connection?.abort();
      this.turn("refused", refused);
    }
  }

  /** Choose this container, or no longer. */
  choose(name) {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(name)) chosen.add(name);
    this.ask({ chosen });
  }

  /** Ask for something else: `chosen`, `text`, `level`. What is there is filtered at once. */
  ask(wanted, soonMs = 0) {
    Object.assign(this, wanted);
    if (byId("filter").value !== this.text) byId("filter").value = this.text;
    byId("level").value = this.level;
    if (this.level) byId("level-choice").hidden = false;
    this.find = this.text ? finder(this.text) : null;
    this.list.filter((item) => this.matches(item));
    this.showChosen();
    this.changed();
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      if (this.allowed && this.refused === null) this.begin();
    }, soonMs);
  }

  /** Whether a line is among what was asked for. */
  matches(item) {
    if (this.chosen.size && item.container !== null && !this.chosen.has(item.container)) return false;
    if (item.note) return true;
    if (this.level && LEVELS.indexOf(item.level) < LEVELS.indexOf(this.level)) return false;
    return !this.find || this.find(item.plain).length > 0;
  }

  get path() {
    const query = new URLSearchParams();
    if (this.chosen.size) query.set("select", [...this.chosen].map((name) => `name=${name}`).join(","));
    if (this.level) query.set("level", this.level);
    if (this.text) query.set("q", this.text);
    return `/api/tail?${query}`;
  }

  /** Connect anew, and again when it ends. */
  async begin() {
    this.connection?.abort();
    const connection = new AbortController();
    this.connection = connection;
    this.turn("connecting");
    this.anew = true; // asked for something else: that is no broken connection
    let wait = RETRY_MS;
    while (!connection.signal.aborted) {
      try {
        await events(this.path, {
          lastId: this.lastId,
          signal: connection.signal,
          opened: () => {
            wait = RETRY_MS;
            this.turn("live");
          },
          took: (found) => this.took(found),
        });
        this.broke();
      } catch (error) {
        if (connection.signal.aborted) return;
        if (error instanceof Refused) {
          this.turn("refused", error.message);
          if (error.status === 401) this.locked();
          if (error.status < 500) return;
        } else {
          this.broke();
        }
      }
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(2 * wait, RETRY_MOST_MS);
    }
  }

  broke() {
    this.anew = false;
    this.turn("broken");
  }

  took(found) {
    if (this.anew) found = found.filter(({ name, data }) => name !== "skipped" || data.lines !== null);
    const items = found.flatMap(itemsOf);
    this.lastId = found.findLast((event) => event.id)?.id ?? this.lastId;
    for (const { name, data } of found) this.skipped += (name === "skipped" ? data.lines : data.skipped) ?? 0;
    if (byId("level-choice").hidden && items.some((item) => item.level)) byId("level-choice").hidden = false;
    items.sort((one, other) => one.time - other.time);
    let last = this.lastSeq ?? 0;
    for (const item of items) item.seq = last += 1;
    this.lastSeq = last;
    if (this.paused) this.hold(items);
    else this.list.add(items);
    this.show();
  }

  hold(items) {
    this.held.push(...items);
    const surplus = this.held.length - HELD_MOST;
    if (surplus > 0) this.dropped += this.held.splice(0, surplus).filter((item) => !item.note).length;
  }

  /** Hold what comes, or go on with what was held. */
  pause(paused = !this.paused) {
    if (paused === this.paused) return;
    this.paused = paused;
    if (!paused) {
      const first = this.held[0];
      if (this.dropped) {
        const text = `${plural(this.dropped, "line")} skipped: more came during the pause than is kept`;
        const missed = note(text, "skip", first?.time);
        this.list.add([Object.assign(missed, { seq: first ? first.seq - 0.5 : (this.lastSeq += 1) })]);
        this.skipped += this.dropped;
      }
      this.list.add(this.held);
      this.held = [];
      this.dropped = 0;
    }
    say(paused ? "Live tail paused" : "Live tail goes on");
    this.changed();
    this.show();
  }

  turn(state, problem = "") {
    this.state = state;
    this.problem = problem;
    this.show();
  }

  show() {
    if (this.showing) return;
    this.showing = true;
    requestAnimationFrame(() => {
      this.showing = false;
      this.showState();
    });
  }

  showState() {
    const { list } = this;
    const words = {
      connecting: "connecting …", live: "live", broken: "the connection is broken; trying again …",
      refused: "not shown",
    };
    const parts = [this.paused ? `paused, ${plural(this.held.length, "new line")}` : words[this.state]];
    if (this.skipped) parts.push(`${plural(this.skipped, "line")} skipped`);
    if (!list.following && !this.paused) parts.push("newest not followed");
    const state = byId("tail-state");
    write(state, parts.join(" · "));
    state.className = `tail-state ${this.state === "live" ? (this.paused ? "paused" : "") : "bad"}`;
    byId("pause").setAttribute("aria-pressed", String(this.paused));
    write(byId("pause"), this.paused ? "Go on" : "Pause");
    byId("follow").hidden = list.following;
    write(byId("nothing"), list.shown.length ? "" : this.emptiness());
  }

  emptiness() {
    if (this.problem) return this.problem;
    if (this.list.items.length) return "None of the lines here is like that. New ones that are will be shown.";
    return "Lines are shown from now on, as they pass.";
  }

  showChosen() {
    const buttons = [...this.chosen].map((name) => {
      const button = make("button", "", `${name} ×`);
      button.type = "button";
      button.setAttribute("aria-label", `No longer only ${name}`);
      button.addEventListener("click", () => this.choose(name));
      return button;
    });
    byId("chosen").replaceChildren(...(buttons.length ? buttons : [make("span", "", "all containers")]));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { list } = this;
    const does = {
      ArrowDown: () => list.step(1), ArrowUp: () => list.step(-1),
      PageDown: () => list.step(list.page), PageUp: () => list.step(-list.page),
      Home: () => list.step(-Infinity), End: () => list.follow(),
      Enter: () => list.toggle(list.at),
      ArrowRight: () => list.toggle(list.at, true), ArrowLeft: () => list.toggle(list.at, false),
    }[event.key];
    if (does) {
      event.preventDefault();
      does();
    }
  }
}

/** Ranges of a text in which `wanted` stands; in any case unless it has a capital, as the agent looks for it. */
function finder(wanted) {
  const any = wanted === wanted.toLowerCase();
  return (text) => {
    const lower = any ? text.toLowerCase() : text;
    const where = lower.length === text.length ? lower : text; // a few letters have no lower case of one letter
    const found = [];
    let at = where.indexOf(wanted);
    while (at >= 0 && found.length < MARKS_MOST) {
      found.push([at, at + wanted.length]);
      at = where.indexOf(wanted, at + wanted.length);
    }
    return found;
  };
}
