/** Charts: drawn by hand, each with its numbers as a table for those who do not see it. */

import type { ComponentChildren } from "preact";

const WIDTH = 400;
const HEIGHT = 180;
const LEFT = 40;
const BOTTOM = 22;
const TOP = 8;
const LINES = 4;

export interface Point {
  /** What stands under it, and in the table. */
  name: string;
  values: (number | null)[];
}

interface ChartWords {
  title: string;
  /** Of the values, in the order in which they are stacked. */
  series: string[];
  points: Point[];
  /** Of the numbers: "s". */
  unit?: string;
  kind: "bars" | "line";
}

/** The next number of which a quarter is round, too. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(4, value)));
  return [1, 2, 4, 8, 10].map((each) => each * power).find((each) => each >= Math.max(4, value))!;
}

const sum = (values: (number | null)[]) => values.reduce<number>((all, each) => all + (each ?? 0), 0);
const written = (value: number) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });

export function Chart({ title, series, points, unit = "", kind }: ChartWords) {
  const highest = points.map(({ values }) => (kind === "bars" ? sum(values) : Math.max(...values.map((each) => each ?? 0))));
  const top = roundUp(Math.max(0, ...highest));
  const wide = (WIDTH - LEFT) / Math.max(1, points.length);
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const x = (place: number) => LEFT + wide * (place + 0.5);
  const every = Math.ceil(points.length / 5);
  return (
    <Figure title={title} series={series} points={points} unit={unit}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {Array.from({ length: LINES + 1 }, (_, line) => (top * line) / LINES).map((value) => (
          <g key={value}>
            <line class="grid" x1={LEFT} x2={WIDTH} y1={y(value)} y2={y(value)} />
            <text class="tick end" x={LEFT - 6} y={y(value) + 4}>
              {written(value)}
            </text>
          </g>
        ))}
        {kind === "bars" && points.map(({ name, values }, place) => <Stack key={name} x={x(place)} wide={wide} values={values} y={y} />)}
        {kind === "line" && series.map((words, number) => <Line key={words} points={points} number={number} x={x} y={y} />)}
        {points.map(({ name }, place) =>
          place % every ? null : (
            <text key={name} class="tick middle" x={x(place)} y={HEIGHT - 5}>
              {name}
            </text>
          ),
        )}
      </svg>
    </Figure>
  );
}

function Stack({ x, wide, values, y }: { x: number; wide: number; values: (number | null)[]; y: (value: number) => number }) {
  let below = 0;
  const width = Math.max(1, Math.min(28, wide * 0.8));
  return (
    <g>
      {values.map((value, number) => {
        const from = below;
        below += value ?? 0;
        return <rect key={number} class={`series-${number}`} x={x - width / 2} width={width} y={y(below)} height={y(from) - y(below)} />;
      })}
    </g>
  );
}

function Line({ points, number, x, y }: { points: Point[]; number: number; x: (place: number) => number; y: (value: number) => number }) {
  const there = points.flatMap(({ values }, place) => (values[number] == null ? [] : [[x(place), y(values[number]!)] as const]));
  return (
    <g class={`series-${number}`}>
      <polyline points={there.map((each) => each.join(",")).join(" ")} />
      {there.map(([left, height]) => (
        <circle key={left} cx={left} cy={height} r="2.5" />
      ))}
    </g>
  );
}

interface FigureWords {
  title: string;
  series: string[];
  points: Point[];
  unit: string;
  children: ComponentChildren;
}

function Figure({ title, series, points, unit, children }: FigureWords) {
  return (
    <figure class="bars chart">
      <figcaption>
        <h2>{title}</h2>
        {series.length > 1 && (
          <ul class="legend" aria-hidden="true">
            {series.map((words, number) => (
              <li key={words}>
                <span class={`key series-${number}`} /> {words}
              </li>
            ))}
          </ul>
        )}
      </figcaption>
      {children}
      <details>
        <summary>As a table</summary>
        <div class="scrolls" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                {series.map((words) => (
                  <th key={words} scope="col">
                    {words}
                    {unit && `, ${unit}`}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {points.map(({ name, values }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {values.map((value, number) => (
                    <td key={number} class="number">
                      {value == null ? "–" : written(value)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
