/** Advice: what a mask could be called, asked for once for each mask that is looked at. */

import type { Id, Mask, NameSuggestion } from "../words";
import { Latest } from "./latest";

export interface Nameless {
  record: number;
  id: Id;
  mask: Mask;
}

const LIKELY = 0.05;

export const isSame = (one: Nameless | null, other: Nameless | null) =>
  one?.record === other?.record && one?.id === other?.id && one?.mask.counts === other?.mask.counts;

/** The names that are worth a look: the likeliest, and others that are no mere remainder. */
export function worthwhile(names: readonly NameSuggestion[]): NameSuggestion[] {
  return names.filter(({ confidence }, place) => place === 0 || confidence >= LIKELY);
}

/** As people read it; never 0 or 100, which it is not. */
export const percent = (confidence: number) => Math.min(99, Math.max(1, Math.round(100 * confidence)));

export class Advice {
  private wanted: Nameless | null = null;
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly asking: Latest<Nameless, NameSuggestion[]>;

  constructor(
    ask: (about: Nameless) => Promise<NameSuggestion[]>,
    private readonly tell: (names: NameSuggestion[], about: Nameless) => void,
    /** Milliseconds until it is asked again where nothing was known: what was just named is learned in a moment. */
    private readonly again: number,
    private readonly most = 3,
  ) {
    this.asking = new Latest(
      ask,
      (names, about) => (names.length ? this.tell(names, about) : this.later(about)),
      // Offline, busy, refused: it is only advice.
      () => {},
      0,
    );
  }

  /** Ask about another mask, or about none; of the same one nothing more is asked. */
  about(next: Nameless | null): void {
    if (isSame(next, this.wanted)) return;
    this.wanted = next;
    this.tries = 0;
    clearTimeout(this.timer);
    if (next) this.ask(next);
    else this.asking.drop();
  }

  private ask(about: Nameless): void {
    this.tries++;
    this.asking.want(about);
  }

  private later(about: Nameless): void {
    if (this.tries >= this.most) return;
    this.timer = setTimeout(() => isSame(about, this.wanted) && this.ask(about), this.again);
  }
}
