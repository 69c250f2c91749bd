/** Route: decoded here or by the server, whichever was measured quicker. */

export type Place = "local" | "server";
export type Wish = Place | "auto";

/** Answers that count. */
const KEPT = 7;
/** Answers of each before they are compared. */
const LEAST = 3;
/** After so many answers the other one is measured again: machines and networks change. */
const AGAIN = 50;
/** After so many an image is made ready for the local way only to measure that: 2 MB and a third of a second. */
const SELDOM = 1000;
/** How much quicker the other one has to be, so that noise does not make them take turns. */
const CLEARLY = 0.85;

export class Route {
  private took: Record<Place, number[]> = { local: [], server: [] };
  private since = 0;
  chosen: Place = "server";

  constructor(readonly wish: Wish = "auto") {}

  /** By which way to ask next. */
  next(canLocal: boolean): Place {
    if (!canLocal || this.wish === "server") return "server";
    return this.wish === "local" ? "local" : this.chosen;
  }

  /** Whether an image is to be made ready here: because that way is taken, or was not measured for long. */
  paysLocal(): boolean {
    if (this.wish !== "auto") return this.wish === "local";
    return this.chosen === "local" || this.took.local.length < LEAST || this.since >= SELDOM;
  }

  /** Whether the other way is to be measured, when nobody waits for an answer. */
  toMeasure(canLocal: boolean): Place | null {
    if (!canLocal || this.wish !== "auto") return null;
    const other = this.chosen === "local" ? "server" : "local";
    if (this.took[this.chosen].length < LEAST) return null;
    return this.took[other].length < LEAST || this.since >= AGAIN ? other : null;
  }

  tell(place: Place, milliseconds: number): void {
    const own = this.took[place];
    own.push(milliseconds);
    if (own.length > KEPT) own.shift();
    if (place === this.chosen) this.since++;
    else this.since = 0;
    if (this.wish !== "auto") return;
    const other = this.chosen === "local" ? "server" : "local";
    if (this.took[other].length < LEAST || this.took[this.chosen].length < LEAST) return;
    if (this.median(other)! < CLEARLY * this.median(this.chosen)!) this.chosen = other;
  }

  /** Milliseconds of a usual answer; null before there was one. */
  median(place: Place): number | null {
    const sorted = [...this.took[place]].sort((one, two) => one - two);
    return sorted[sorted.length >> 1] ?? null;
  }
}

/** What the address or this browser asks for: `?decode=local`, kept until it is said otherwise. */
export function wished(): Wish {
  const asked = new URLSearchParams(window.location.search).get("decode");
  if (asked === "local" || asked === "server" || asked === "auto") localStorage.setItem("segany.decode", asked);
  const kept = localStorage.getItem("segany.decode");
  return kept === "local" || kept === "server" ? kept : "auto";
}
