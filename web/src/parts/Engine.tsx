/** Engine: the data engine's course: masks over time, seconds for each, rounds of learning, models promoted or refused. */

import type { Course, Decision, Verdict } from "../words";
import { Chart, type Point } from "./Charts";

/** How a mask came about, in words. */
export const SOURCES: Record<string, string> = { manual: "by hand", semi_automatic: "corrected", automatic: "automatic" };
const DAY = 86_400;

/** The beginning of a span as people read it. */
function spanName(start: string, seconds: number): string {
  const at = new Date(start);
  if (seconds >= DAY) return at.toLocaleDateString("en", { day: "numeric", month: "short", year: seconds >= 28 * DAY ? "2-digit" : undefined, timeZone: "UTC" });
  const time = at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
  return seconds >= 3600 ? `${at.toLocaleDateString("en", { day: "numeric", month: "short" })} ${time}` : time;
}

export function Engine({ course }: { course: Course }) {
  const named = course.spans.map((span) => ({ ...span, name: spanName(span.start, course.span_seconds) }));
  const made: Point[] = named.map(({ name, sources }) => ({ name, values: Object.keys(SOURCES).map((key) => sources[key] ?? 0) }));
  let all = 0;
  const total: Point[] = named.map(({ name, sources }) => ({
    name,
    values: [(all += Object.values(sources).reduce((sum, each) => sum + each, 0))],
  }));
  const seconds: Point[] = named.map((span) => ({ name: span.name, values: [span.seconds] }));
  const words = Object.values(SOURCES);
  return (
    <section aria-labelledby="course">
      <h2 id="course" class="part">
        The data engine
      </h2>
      {!named.length && <p class="hint">No mask was made here yet; imported ones have no time.</p>}
      {!!named.length && (
        <div class="charts">
          <Chart title="New masks" series={words} points={made} kind="bars" />
          <Chart title="Masks in all" series={["masks"]} points={total} kind="line" />
          {named.some((span) => span.seconds !== null) && (
            <Chart title="Median seconds per mask" series={["seconds"]} points={seconds} unit="s" kind="line" />
          )}
        </div>
      )}
      {course.undated > 0 && <p class="hint">{course.undated.toLocaleString("en")} imported masks have no time.</p>}
      <div class="charts">
        <Rounds course={course} />
        <Decisions decisions={course.decisions} />
      </div>
    </section>
  );
}

function Rounds({ course }: { course: Course }) {
  return (
    <section class="bars">
      <h2>Rounds of learning</h2>
      {!course.rounds.length && <p class="hint">None yet. `segany engine promote` begins one.</p>}
      {!!course.rounds.length && (
        <table>
          <thead>
            <tr>
              <th scope="col">Learned from</th>
              <th scope="col">Accepted masks</th>
              <th scope="col">State</th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          <tbody>
            {course.rounds.map((each) => (
              <tr key={each.job}>
                <th scope="row">{each.version ?? `job ${each.job}`}</th>
                <td class="number">{each.accepted?.toLocaleString("en") ?? "–"}</td>
                <td>{each.state === "running" && each.message ? each.message : each.state}</td>
                <td>
                  <Outcome promoted={each.promoted} /> {each.error}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Outcome({ promoted }: { promoted: boolean | null }) {
  if (promoted === null) return null;
  return <span class={`state ${promoted ? "accepted" : "rejected"}`}>{promoted ? "promoted" : "refused"}</span>;
}

function Decisions({ decisions }: { decisions: Decision[] }) {
  const ends = decisions.flatMap(({ verdicts }) => verdicts.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  const far = Math.max(0.01, ...ends);
  return (
    <section class="bars">
      <h2>Models promoted and refused</h2>
      {!decisions.length && <p class="hint">No model was compared yet.</p>}
      {decisions.map((each) => (
        <article key={each.id} class="decision">
          <h3>
            <Outcome promoted={each.promoted} /> {each.candidate.slice(0, 8)} instead of {each.incumbent.slice(0, 8)},{" "}
            <time dateTime={each.at}>{new Date(each.at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}</time>, by {each.actor}
          </h3>
          <table>
            <tbody>
              {each.verdicts.map((verdict) => (
                <Difference key={`${verdict.set_name} ${verdict.metric}`} verdict={verdict} far={far} />
              ))}
            </tbody>
          </table>
        </article>
      ))}
    </section>
  );
}

const points = (share: number) => (100 * share).toFixed(1);

/** A figure of one set: from what to what, and the interval of the difference about zero. */
function Difference({ verdict, far }: { verdict: Verdict; far: number }) {
  const x = (value: number) => 80 + (72 * value) / far;
  const { low, high } = verdict;
  return (
    <tr>
      <th scope="row">
        {verdict.set_name}, {verdict.metric}
      </th>
      <td class="number">
        {points(verdict.incumbent)} → {points(verdict.candidate)}
      </td>
      <td>
        <svg class={verdict.passed ? "interval passed" : "interval failed"} viewBox="0 0 160 16" role="img" aria-label={`difference ${points(low)} to ${points(high)}`}>
          <line class="grid" x1={80} x2={80} y1={0} y2={16} />
          <line x1={x(low)} x2={x(high)} y1={8} y2={8} />
          <circle cx={x((low + high) / 2)} cy={8} r="4" />
        </svg>
      </td>
      <td>{verdict.passed ? "holds" : "does not hold"}</td>
    </tr>
  );
}
