/** Progress: numbers of the collection, the data engine's course, and the server's jobs. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../work/api";
import { canReview, complain } from "../work/state";
import type { Course, Job } from "../words";
import { Engine, SOURCES } from "./Engine";

type Counts = Record<string, number>;
const EVERY_MS = 3000;
/** Of what is counted over the whole collection. */
const SELDOM_MS = 20_000;

export function Progress() {
  const stats = useSignal<Record<string, unknown> | null>(null);
  const course = useSignal<Course | null>(null);
  const jobs = useSignal<Job[]>([]);
  const model = useSignal<{ name: string; backend: string } | null>(null);
  useEffect(() => {
    const count = () => {
      api.stats().then((now) => (stats.value = now)).catch(complain);
      api.engine().then((now) => (course.value = now)).catch(complain);
    };
    const look = () => {
      if (canReview.value) api.jobs().then((now) => (jobs.value = now.jobs)).catch(complain);
    };
    count();
    look();
    api.models().then(({ current }) => (model.value = current)).catch(() => undefined);
    const timers = [setInterval(look, EVERY_MS), setInterval(count, SELDOM_MS)];
    return () => timers.forEach(clearInterval);
  }, []);
  const now = stats.value;
  return (
    <main class="progress" aria-label="Progress">
      {now && (
        <>
          <div class="figures">
            <Figure words="images" value={Number(now.records)} />
            <Figure words="masks" value={Number(now.masks)} />
            <Figure words="accepted" value={counts(now.review_states).accepted ?? 0} />
            <Figure words="flagged" value={counts(now.review_states).flagged ?? 0} />
            {course.value?.seconds_per_mask != null && <Figure words="s per mask" value={course.value.seconds_per_mask} />}
            {!!course.value?.tasks.queued && <Figure words="tasks wait" value={course.value.tasks.queued} />}
          </div>
          <div class="charts">
            <Bars title="Review" values={counts(now.review_states)} />
            <Bars title="How they were made" values={named(counts(now.sources))} />
            <Bars title="Labels" values={counts(now.categories)} />
            <Bars title="Annotators" values={counts(now.annotators)} />
          </div>
        </>
      )}
      {course.value && <Engine course={course.value} />}
      {model.value && (
        <p class="hint">
          Model {model.value.name} on {model.value.backend}
        </p>
      )}
      {canReview.value && <Jobs jobs={jobs.value} />}
    </main>
  );
}

const named = (sources: Counts): Counts =>
  Object.fromEntries(Object.entries(sources).map(([source, count]) => [SOURCES[source] ?? source, count]));
const counts = (value: unknown): Counts => (value ?? {}) as Counts;

function Figure({ words, value }: { words: string; value: number }) {
  return (
    <div class="figure">
      <strong>{value.toLocaleString("en", { maximumFractionDigits: 1 })}</strong> {words}
    </div>
  );
}

const BARS = 12;

function Bars({ title, values }: { title: string; values: Counts }) {
  const all = Object.entries(values).sort((one, two) => two[1] - one[1]);
  const most = Math.max(1, ...all.map(([, value]) => value));
  if (!all.length) return null;
  return (
    <section class="bars">
      <h2>{title}</h2>
      <table>
        <tbody>
          {all.slice(0, BARS).map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="bar">
                <span style={{ width: `${(100 * value) / most}%` }} />
              </td>
              <td class="number">{value.toLocaleString("en")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Jobs({ jobs }: { jobs: Job[] }) {
  return (
    <section class="bars">
      <h2>Jobs</h2>
      {!jobs.length && <p class="hint">Nothing runs and nothing waits.</p>}
      {!!jobs.length && (
        <table>
          <thead>
            <tr>
              <th scope="col">Job</th>
              <th scope="col">State</th>
              <th scope="col">Done</th>
              <th scope="col">What</th>
              <th scope="col">Stop</th>
            </tr>
          </thead>
          <tbody>
            {jobs.map((job) => (
              <tr key={job.id}>
                <th scope="row">
                  {job.kind} {job.id}
                </th>
                <td>{job.state}</td>
                <td>
                  {job.total ? (
                    <progress value={job.done} max={job.total} aria-label={`Job ${job.id}`} />
                  ) : (
                    job.done || ""
                  )}
                </td>
                <td>{job.error ?? job.message}</td>
                <td>
                  {(job.state === "queued" || job.state === "running") && (
                    <button type="button" aria-label={`Stop job ${job.id}`} onClick={() => void api.cancelJob(job.id).catch(complain)}>
                      Stop
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
