// A list of many lines of which only those in view are elements. Rows are of one height; one that is unfolded has more.

import { make } from "./dom.js";

const ROW = 19;
const OVERSCAN = 8;
const MOST_LINES = 5000;
const MOST_CHARACTERS = 8_000_000;

export class LineList {
  /** `head(item)` and `detail(item)` give the nodes of a row; `moved()` is told when it starts or ceases to follow. */
  constructor(view, { head, detail, moved }) {
    this.view = view;
    this.head = head;
    this.detail = detail;
    this.moved = moved;
    this.items = [];
    this.shown = [];
    this.characters = 0;
    this.open = new Map();
    this.rows = new Map();
    this.following = true;
    this.at = null;
    this.match = () => true;
    this.space = make("div", "space");
    view.append(this.space);
    view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(view);
  }

  /** Append items `{seq, text, …}`, `seq` rising; the oldest go when there are too many. */
  add(items) {
    for (const item of items) {
      this.items.push(item);
      this.characters += item.text.length;
      if (this.match(item)) this.shown.push(item);
    }
    let surplus = Math.max(0, this.items.length - MOST_LINES);
    for (let place = 0; place < surplus; place += 1) this.characters -= this.items[place].text.length;
    while (this.characters > MOST_CHARACTERS && surplus < this.items.length - 1) {
      this.characters -= this.items[surplus].text.length;
      surplus += 1;
    }
    if (surplus) this.drop(surplus);
    this.schedule();
  }

  drop(surplus) {
    this.items.splice(0, surplus);
    const first = this.items[0].seq;
    let gone = this.shown.findIndex((item) => item.seq >= first);
    if (gone < 0) gone = this.shown.length;
    let height = gone * ROW;
    for (const [item, extra] of this.open) {
      if (item.seq < first) {
        if (this.shown.includes(item)) height += extra;
        this.open.delete(item);
      }
    }
    if (this.at && this.at.seq < first) this.at = null;
    this.shown.splice(0, gone);
    if (!this.following) this.shift = (this.shift ?? 0) + height;
  }

  clear() {
    this.items = [];
    this.shown = [];
    this.characters = 0;
    this.open.clear();
    this.at = null;
    this.follow();
  }

  /** Show only what matches; the line that one is at stays where it is. */
  filter(match) {
    this.match = match;
    this.shown = this.items.filter(match);
    if (this.at && !match(this.at)) this.at = null;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    if (this.at && !this.following) this.reveal(this.at);
    this.schedule();
  }

  /** To the newest, and stay there. */
  follow() {
    this.set(true);
    this.at = null;
    this.schedule();
  }

  /** Go `by` lines from where one is. */
  step(by) {
    if (!this.shown.length) return;
    const last = this.shown.length - 1;
    const here = this.at ? this.place(this.at) : by < 0 ? last + 1 : this.first() - 1;
    this.at = this.shown[Math.min(last, Math.max(0, here + by))];
    this.set(false);
    this.reveal(this.at);
    this.schedule();
  }

  /** Unfold, fold, or change that of the line one is at. */
  toggle(item, open = !this.open.has(item)) {
    if (!item || open === this.open.has(item)) return;
    if (open) this.open.set(item, 0);
    else this.open.delete(item);
    this.set(false);
    this.at = item;
    this.rows.get(item.seq)?.remove();
    this.rows.delete(item.seq);
    this.render();
    this.reveal(item);
  }

  get page() {
    return Math.max(1, Math.floor(this.view.clientHeight / ROW) - 2);
  }

  place(item) {
    let [low, high] = [0, this.shown.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.shown[middle].seq < item.seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The open ones in view, `[place, extra]`, in order. */
  extras() {
    return [...this.open].filter(([item]) => this.match(item)).map(([item, extra]) => [this.place(item), extra])
      .sort((a, b) => a[0] - b[0]);
  }

  top(place, extras) {
    let top = place * ROW;
    for (const [at, extra] of extras) {
      if (at < place) top += extra;
    }
    return top;
  }

  /** The first place in view. */
  first(extras = this.extras()) {
    let place = Math.floor(this.view.scrollTop / ROW);
    while (place > 0 && this.top(place, extras) > this.view.scrollTop) place -= 1;
    return Math.min(place, Math.max(0, this.shown.length - 1));
  }

  reveal(item) {
    const extras = this.extras();
    const place = this.place(item);
    const top = this.top(place, extras);
    const bottom = this.top(place + 1, extras);
    const { scrollTop, clientHeight } = this.view;
    if (top < scrollTop) this.scroll(top);
    else if (bottom > scrollTop + clientHeight) this.scroll(Math.min(top, bottom - clientHeight));
  }

  scroll(top) {
    this.space.style.height = `${this.top(this.shown.length, this.extras())}px`;
    this.view.scrollTop = top;
    this.left = this.view.scrollTop;
  }

  set(following) {
    if (following !== this.following) {
      this.following = following;
      this.moved();
    }
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.view;
    if (scrollTop !== this.left) {
      this.left = scrollTop;
      this.set(scrollHeight - clientHeight - scrollTop < ROW);
    }
    this.schedule();
  }

  resized() {
    for (const item of this.open.keys()) {
      const row = this.rows.get(item.seq);
      if (row) this.open.set(item, row.offsetHeight - ROW);
    }
    this.schedule();
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.render();
    });
  }

  render() {
    if (this.shift) {
      const top = this.view.scrollTop - this.shift;
      this.shift = 0;
      this.scroll(Math.max(0, top));
    }
    let extras = this.extras();
    this.space.style.height = `${this.top(this.shown.length, extras)}px`;
    if (this.following) this.scroll(this.view.scrollHeight);
    const from = Math.max(0, this.first(extras) - OVERSCAN);
    const count = Math.ceil(this.view.clientHeight / ROW) + 2 * OVERSCAN;
    const seen = this.shown.slice(from, from + count);
    this.keep(new Set(seen.map((item) => item.seq)));
    let next = this.space.firstChild;
    for (const item of seen) {
      const row = this.rows.get(item.seq) ?? this.row(item);
      this.rows.set(item.seq, row);
      if (row === next) next = next.nextSibling;
      else this.space.insertBefore(row, next); // in the order in which they are read
    }
    if (this.measure(seen)) extras = this.extras();
    seen.forEach((item, place) => this.put(item, from + place, extras));
    this.space.style.height = `${this.top(this.shown.length, extras)}px`;
    const at = this.at && this.rows.get(this.at.seq);
    if (at) this.view.setAttribute("aria-activedescendant", at.id);
    else this.view.removeAttribute("aria-activedescendant");
  }

  keep(wanted) {
    for (const [seq, row] of this.rows) {
      if (!wanted.has(seq)) {
        row.remove();
        this.rows.delete(seq);
      }
    }
  }

  /** How high the open rows are; whether any was not known to be so. */
  measure(seen) {
    let changed = false;
    for (const item of seen) {
      if (this.open.has(item)) {
        const extra = this.rows.get(item.seq).offsetHeight - ROW;
        changed ||= extra !== this.open.get(item);
        this.open.set(item, extra);
      }
    }
    return changed;
  }

  row(item) {
    const head = this.head(item);
    const row = make("div", `row ${item.look}`, head);
    row.id = `line-${item.seq}`;
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", "1");
    row.setAttribute("aria-expanded", String(this.open.has(item)));
    if (this.open.has(item)) row.append(this.detail(item));
    head.addEventListener("click", () => {
      if (getSelection().isCollapsed) this.toggle(item);
    });
    return row;
  }

  put(item, place, extras) {
    const row = this.rows.get(item.seq);
    row.style.transform = `translateY(${this.top(place, extras)}px)`;
    row.setAttribute("aria-posinset", place + 1);
    row.setAttribute("aria-setsize", this.shown.length);
    row.classList.toggle("at", item === this.at);
    row.setAttribute("aria-selected", String(item === this.at));
  }
}
