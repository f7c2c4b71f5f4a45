// What goes where: containers at the left, the agent, sinks at the right, and lines between them as wide as what flows.

import { byId, bytes, count, duration, make, plural, rate, say, write } from "./dom.js";
import { draw, svg, TICKS } from "./plot.js";

const LOOKS = { idle: "well", delivering: "well", starting: "warn", retrying: "warn", held: "bad-state" };
const ORDER_MS = 10_000;
const WORDS = {
  idle: "idle", delivering: "delivering", starting: "starting", retrying: "retrying",
  held: "held: mend it, then it goes on",
};

/** Numbers of the last five minutes, by name; told ever newer parts. */
class History {
  constructor() {
    this.forget();
  }

  forget() {
    this.tick = 0;
    this.records = [];
    this.sinks = new Map();
  }

  add(tick, { records_per_second: records, sinks }) {
    this.tick = tick;
    const put = (list, more) => [...list, ...more].slice(-TICKS);
    this.records = put(this.records, records);
    for (const [name, columns] of Object.entries(sinks)) {
      const known = this.sinks.get(name) ?? { bytes_per_second: [], lag_seconds: [] };
      for (const key of Object.keys(known)) known[key] = put(known[key], columns[key]);
      this.sinks.set(name, known);
    }
  }
}

/** By project, the busiest first; in a project by name, so that they stay where they are. */
function ordered(containers) {
  const paces = new Map();
  for (const each of containers) paces.set(each.project, (paces.get(each.project) ?? 0) + each.records_per_second);
  const names = (a, b) => (a ?? "").localeCompare(b ?? "", "en", { numeric: true });
  return [...containers].sort((a, b) =>
    paces.get(b.project) - paces.get(a.project) || (a.project === null) - (b.project === null)
    || names(a.project, b.project) || names(a.name, b.name));
}

export class Flow {
  /** `choose(name)`: a container was clicked. `letters(sink)`: its dead letters are wanted. */
  constructor({ choose, letters }) {
    this.history = new History();
    this.chosen = new Set();
    this.choose = choose;
    this.letters = letters;
    this.rows = new Map();
    this.cards = new Map();
    this.before = null;
    this.orderedAt = -Infinity;
    const redraw = () => requestAnimationFrame(() => this.link());
    new ResizeObserver(redraw).observe(document.querySelector(".flow"));
    for (const list of [byId("containers"), byId("sinks")]) list.addEventListener("scroll", redraw, { passive: true });
  }

  show(state) {
    this.state = state;
    this.history.add(state.tick, state.history);
    this.showFacts(state);
    this.showContainers(state.containers);
    this.showSinks(state.sinks);
    this.showLosses(state.losses);
    this.tell(state);
    this.link();
  }

  showFacts({ agent, engine, spool, containers }) {
    write(byId("version"), agent.version);
    write(byId("uptime"), duration(agent.uptime_seconds));
    write(byId("engine"), engine.connected ? engine.name : `The Engine does not answer: ${engine.name}`);
    byId("engine").classList.toggle("bad", !engine.connected);
    write(byId("spool"), spool.disk_max_bytes === null ? "in memory only"
      : `${bytes(spool.disk_bytes)} of ${bytes(spool.disk_max_bytes)}`);
    write(byId("memory"), `${bytes(spool.memory_bytes)} of ${bytes(spool.memory_max_bytes)}`);
    const trouble = spool.degraded ? `The spool is not written to disk: ${spool.degraded}` : "";
    byId("trouble").hidden = !trouble;
    write(byId("trouble"), trouble);
    write(byId("rate"), rate(containers.reduce((sum, each) => sum + each.records_per_second, 0)));
    draw(byId("read-plot"), this.history.records, 10);
  }

  showContainers(containers) {
    const list = byId("containers");
    write(byId("containers-count"), count(containers.length));
    const keys = containers.map((each) => `${each.project} ${each.id} ${each.name}`).join("\n");
    const calm = !list.matches(":hover, :focus-within") && performance.now() - this.orderedAt > ORDER_MS;
    if (keys !== this.keys || calm) {
      this.keys = keys;
      this.orderedAt = performance.now();
      this.build(list, ordered(containers));
    }
    for (const each of containers) this.showContainer(this.rows.get(each.id), each);
  }

  build(list, order) {
    const ids = order.map((each) => each.id).join();
    if (ids === this.ids && ids) return;
    this.ids = ids;
    const old = this.rows;
    this.rows = new Map();
    const items = [];
    let project = order.every((each) => each.project === null) ? null : undefined;
    for (const each of order) {
      if (each.project !== project) items.push(make("li", "project", each.project ?? "without a project"));
      project = each.project;
      const row = old.get(each.id) ?? this.containerRow();
      this.rows.set(each.id, row);
      items.push(row.item);
    }
    if (!items.length) items.push(make("li", "none", "None is read yet."));
    const focused = document.activeElement;
    list.replaceChildren(...items);
    if (list.contains(focused)) focused.focus();
  }

  containerRow() {
    const [name, aside, pace] = [make("span"), make("span", "aside"), make("span", "pace")];
    const button = make("button", "", make("span", "name", name, aside), pace);
    button.type = "button";
    const row = { item: make("li", "", button), button, name, aside, pace };
    button.addEventListener("click", () => this.choose(row.known.name));
    return row;
  }

  showContainer(row, each) {
    row.known = each;
    const moving = each.records_per_second > 0;
    write(row.name, each.name);
    write(row.aside, each.mode === "attach" ? "attached" : "");
    const age = each.last_record_seconds_ago;
    const still = age === null ? "nothing yet" : `${duration(age)} ago`;
    write(row.pace, moving ? `${rate(each.records_per_second)}/s` : still);
    row.item.classList.toggle("moving", moving);
    row.button.title = `${each.name}\n${each.image}\n${each.id.slice(0, 12)}\n${bytes(each.bytes_per_second)}/s`;
    const on = String(this.chosen.has(each.name));
    if (row.button.getAttribute("aria-pressed") !== on) row.button.setAttribute("aria-pressed", on);
  }

  /** These containers are shown in the tail. */
  mark(chosen) {
    this.chosen = chosen;
    for (const row of this.rows.values()) row.button.setAttribute("aria-pressed", String(chosen.has(row.known.name)));
  }

  showSinks(sinks) {
    write(byId("sinks-count"), count(sinks.length));
    for (const sink of sinks) {
      if (!this.cards.has(sink.name)) {
        const card = this.sinkCard(sink.name);
        this.cards.set(sink.name, card);
        byId("sinks").append(card.item);
      }
      this.showSink(this.cards.get(sink.name), sink);
    }
  }

  sinkCard(name) {
    const card = {
      state: make("span", "state"), pace: make("b"), total: make("span"), lag: make("b"), waiting: make("span"),
      error: make("p", "error"), letters: make("button", "plain letters-button"),
      ratePlot: svg("svg", {
        class: "plot", role: "img", "aria-label": `Bytes delivered to ${name}, last five minutes`,
      }),
      lagPlot: svg("svg", { class: "plot lag", role: "img", "aria-label": `Lag of ${name}, last five minutes` }),
    };
    card.letters.type = "button";
    card.letters.addEventListener("click", () => this.letters(name));
    card.item = make("li", "sink",
      make("header", "", make("h3", "", name), card.state, card.letters),
      make("figure", "", make("figcaption", "", card.pace, card.total), card.ratePlot),
      make("figure", "", make("figcaption", "", card.lag, card.waiting), card.lagPlot),
      card.error);
    return card;
  }

  showSink(card, sink) {
    for (const look of ["well", "warn", "bad-state"]) card.item.classList.toggle(look, LOOKS[sink.state] === look);
    const well = LOOKS[sink.state] === "well";
    const word = well && sink.records_per_second ? "delivering" : WORDS[sink.state];
    write(card.state, well ? word : `${word}, for ${duration(sink.for_seconds)}`);
    write(card.pace, `${rate(sink.records_per_second)}/s`);
    write(card.total, `${count(sink.delivered_records)} in all`);
    write(card.lag, sink.lag_seconds >= 1 ? `${duration(sink.lag_seconds)} behind` : "up to date");
    write(card.waiting, sink.waiting_records ? `${count(sink.waiting_records)} wait` : "nothing waits");
    card.waiting.title = bytes(sink.waiting_bytes);
    write(card.letters, sink.refused_records ? `${count(sink.refused_records)} refused` : "Dead letters");
    card.letters.classList.toggle("bad", sink.refused_records > 0);
    card.letters.setAttribute("aria-label", `Dead letters of ${sink.name}, ${count(sink.refused_records)} refused`);
    const error = sink.last_error && (well ? `last trouble: ${sink.last_error}` : sink.last_error);
    card.error.hidden = !error;
    write(card.error, error ?? "");
    card.error.title = sink.last_error ?? "";
    const past = this.history.sinks.get(sink.name);
    if (past) {
      draw(card.ratePlot, past.bytes_per_second, 1000);
      draw(card.lagPlot, past.lag_seconds, 5);
    }
  }

  showLosses(losses) {
    const total = losses.reduce((sum, loss) => sum + loss.records, 0);
    write(byId("verdict"), total ? `${plural(total, "line")} lost` : "Nothing lost");
    byId("verdict").classList.toggle("bad", total > 0);
    byId("losses").hidden = !total;
    const told = JSON.stringify(losses);
    if (told === this.told) return;
    this.told = told;
    byId("losses-list").replaceChildren(...losses.map((loss) => {
      const where = loss.where.slice(0, 5).map((each) =>
        `${each.container}${each.sink ? ` → ${each.sink}` : ""} ${count(each.records)}`).join(", ");
      return make("li", "", make("strong", "", count(loss.records)),
        make("span", "", loss.meaning, " ", make("code", "where", loss.cause), make("span", "where", ` · ${where}`)));
    }));
  }

  /** What changed, in words, for who listens. */
  tell(state) {
    const before = this.before;
    this.before = state;
    if (!before) return;
    const news = [];
    const was = new Map(before.sinks.map((sink) => [sink.name, sink]));
    for (const sink of state.sinks) {
      const old = was.get(sink.name);
      if (old && LOOKS[old.state] !== LOOKS[sink.state]) {
        news.push(LOOKS[sink.state] === "well" ? `Sink ${sink.name} is well again`
          : `Sink ${sink.name} is ${WORDS[sink.state]}`);
      }
    }
    if (before.engine.connected !== state.engine.connected) {
      news.push(state.engine.connected ? "The Engine answers again" : "The Engine does not answer");
    }
    if (!before.losses.length && state.losses.length) news.push("Lines were lost");
    if (news.length) say(news.join(". "));
  }

  /** Draw the lines between the lists. */
  link() {
    const links = byId("links");
    if (!this.state || getComputedStyle(links).display === "none") return;
    const frame = links.getBoundingClientRect();
    const hub = byId("hub").getBoundingClientRect();
    const paths = [
      ...this.between(byId("containers"), this.state.containers.map((each) =>
        [this.rows.get(each.id)?.item, each.records_per_second, "well"]), frame, hub, true),
      ...this.between(byId("sinks"), this.state.sinks.map((each) =>
        [this.cards.get(each.name)?.item, each.records_per_second, LOOKS[each.state]]), frame, hub, false),
    ];
    while (links.children.length > paths.length) links.lastChild.remove();
    while (links.children.length < paths.length) links.append(svg("path"));
    paths.forEach(({ d, width, look }, place) => {
      const path = links.children[place];
      path.setAttribute("d", d);
      path.setAttribute("stroke-width", width);
      path.setAttribute("class", look);
    });
  }

  between(list, ends, frame, hub, left) {
    const box = list.getBoundingClientRect();
    const seen = ends.filter(([item]) => item).map(([item, pace, look]) => {
      const place = item.getBoundingClientRect();
      return { y: (place.top + place.bottom) / 2, pace, look };
    }).filter(({ y }) => y > box.top && y < box.bottom).sort((a, b) => a.y - b.y);
    return seen.map(({ y, pace, look }, place) => {
      const width = pace ? 1.2 + 1.7 * Math.log10(1 + pace) : 1;
      const spread = Math.min(hub.height * 0.7, seen.length * 7);
      const share = seen.length > 1 ? place / (seen.length - 1) - 0.5 : 0;
      const there = hub.top + hub.height / 2 + share * spread - frame.top;
      const [from, to] = (left ? [box.right, hub.left] : [hub.right, box.left]).map((x) => x - frame.left);
      const [y1, y2] = left ? [y - frame.top, there] : [there, y - frame.top];
      const middle = (from + to) / 2;
      return {
        d: `M${from} ${y1}C${middle} ${y1} ${middle} ${y2} ${to} ${y2}`, width: width.toFixed(2),
        look: look === "well" ? (pace ? "" : "still") : look,
      };
    });
  }
}
