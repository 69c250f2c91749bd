/** Side: labels, the masks of the image, and what can be done with the selected ones. */

import { useRef } from "preact/hooks";
import { paletteColour } from "../work/state";
import { api } from "../work/api";
import { duplicateToNext, fillHoles, merge, split } from "../work/drawing";
import { name, redo, remove, review, undo } from "../work/editing";
import { choose } from "../work/hotkeys";
import { percent } from "../work/advice";
import { findEverything, keepAll, move } from "../work/finding";
import { spoken, suggested, take } from "../work/naming";
import { maskBefore, nextCandidate, select } from "../work/segment";
import { active, annotations, categories, colour, complain, found, history, label, names, selected, tool } from "../work/state";

export function Side() {
  return (
    <aside class="side" aria-label="Masks">
      <Labels />
      {tool.value === "everything" && <Found />}
      <div class="buttons" role="group" aria-label="Edits">
        <Do words="Undo" hint="Ctrl+Z" run={undo} off={!history.value.done} />
        <Do words="Redo" hint="Ctrl+Y" run={redo} off={history.value.done === history.value.edits.length} />
        <Do words="Candidate" hint="C" run={() => void nextCandidate()} off={!active.value} title="Next candidate mask" />
        <Do words="Before" hint="X" run={maskBefore} off={!active.value} title="The mask before the last click" />
        <Do words="Merge" hint="M" run={merge} off={selected.value.length < 2} />
        <Do words="Split" hint="K" run={split} off={!active.value} />
        <Do words="Fill holes" hint="J" run={fillHoles} off={!active.value} />
        <Do words="Copy on" hint="D" run={() => void duplicateToNext()} off={!active.value} title="Copy to the next image" />
        <Do words="Flag" hint="⇧F" run={() => void review("flagged")} off={!active.value} />
        <Do words="Delete" hint="Del" run={remove} off={!active.value} />
      </div>
      <Masks />
    </aside>
  );
}

interface Doing {
  words: string;
  hint: string;
  run: () => void;
  off?: boolean;
  title?: string;
}

function Do({ words, hint, run, off, title }: Doing) {
  return (
    <button type="button" onClick={run} disabled={off ?? false} title={title ?? words}>
      {words} <kbd aria-hidden="true">{hint}</kbd>
    </button>
  );
}

function Labels() {
  const field = useRef<HTMLInputElement>(null);
  const give = (value: string) => {
    const given = value.trim().slice(0, 200) || null;
    name(given);
    // A name with a slash has no address on the server; the masks keep it all the same.
    if (given && !given.includes("/") && !categories.value.some((each) => each.name === given)) {
      // A class that is new gets a colour of its own.
      const made = { name: given, supercategory: null, color: paletteColour(categories.value.length), position: 0 };
      categories.value = [...categories.value, { ...made, position: categories.value.length }];
      api.keepCategory(given, made.color, categories.value.length - 1).catch(complain);
    }
    if (field.current) field.current.value = "";
    document.querySelector<HTMLElement>(".stage")?.focus();
  };
  const now = active.value ? active.value.category : label.value;
  return (
    <section aria-labelledby="labels">
      <h2 id="labels">Label</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          give(field.current?.value ?? "");
        }}
      >
        <input
          id="label"
          ref={field}
          list="names"
          autocomplete="off"
          placeholder={now ?? "write a label…"}
          aria-label="Label of the selected masks and of the next ones"
          maxLength={200}
        />
        <datalist id="names">
          {names.value.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <button type="submit">Set</button>
      </form>
      <Suggested />
      <div class="chips" role="group" aria-label="Labels">
        {names.value.slice(0, 9).map((each, index) => (
          <button
            type="button"
            key={each}
            class={now === each ? "chip chosen" : "chip"}
            aria-pressed={now === each}
            onClick={() => name(now === each ? null : each)}
          >
            <kbd aria-hidden="true">{index + 1}</kbd> {each}
          </button>
        ))}
      </div>
    </section>
  );
}

/** What the selected mask could be called; a line is kept for it, so that the labels below do not jump. */
function Suggested() {
  if (names.value.length < 2) return null;
  return (
    <div class="suggested" role="group" aria-label="Suggested labels">
      {!suggested.value.length && <span>{active.value ? "Label of this mask" : "Label of the next masks"}</span>}
      {suggested.value.map(({ name: likely, confidence }, place) => (
        <button
          type="button"
          key={likely}
          class="chip"
          title={`Call it ${likely}`}
          onClick={() => take(likely)}
        >
          {place === 0 && <kbd aria-hidden="true">Y</kbd>} <span class="chip-name">{likely}</span>{" "}
          <span class="percent">{percent(confidence)} %</span>
        </button>
      ))}
      <span class="unseen" role="status">
        {spoken.value}
      </span>
    </div>
  );
}

function Masks() {
  return (
    <section class="masks" aria-labelledby="masks">
      <h2 id="masks">Masks ({annotations.value.length})</h2>
      <ul>
        {annotations.value.map((each, place) => {
          const isChosen = selected.value.includes(each.id);
          return (
            <li key={each.id}>
              <button
                type="button"
                class={isChosen ? "mask chosen" : "mask"}
                aria-pressed={isChosen}
                onClick={(event) => {
                  select(each.id, event.shiftKey || event.ctrlKey || event.metaKey);
                  if (tool.peek() === "polygon") choose("polygon");
                }}
              >
                <span class="swatch" style={{ background: colour(each, place) }} />
                <span class="mask-name">{each.category ?? "no label"}</span>
                <span class="mask-more">
                  {each.area.toLocaleString("en")} px
                  {each.seconds_spent ? ` · ${each.seconds_spent.toFixed(1)} s` : ""}
                </span>
                <span class={`state ${each.review_state}`}>{each.review_state}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {!annotations.value.length && <p class="hint">Move over the image and click what you want to keep.</p>}
    </section>
  );
}

function Found() {
  const now = found.value;
  if (!now) {
    return (
      <section>
        <button type="button" onClick={() => void findEverything()}>
          Find everything
        </button>
      </section>
    );
  }
  if (now.done < 1) {
    return (
      <section role="status">
        <h2>Everything</h2>
        <progress value={now.done} max={1} aria-label="Search for masks" />
        <p class="hint">Searching… {Math.round(100 * now.done)} %</p>
      </section>
    );
  }
  return (
    <section aria-labelledby="found">
      <h2 id="found">{now.masks.length} found</h2>
      <Slider words="Predicted IoU" value={now.predictedIou} least={0.61} change={(predictedIou) => move({ predictedIou })} />
      <Slider words="Stability" value={now.stability} least={0.5} change={(stability) => move({ stability })} />
      <p class="hint">Click a mask to keep it; W climbs from a part to its whole.</p>
      <button type="button" class="primary" onClick={keepAll} disabled={!now.masks.length}>
        Keep all <kbd aria-hidden="true">Ctrl+K</kbd>
      </button>
    </section>
  );
}

function Slider({ words, value, least, change }: { words: string; value: number; least: number; change: (value: number) => void }) {
  return (
    <label class="slider">
      <span>
        {words} <span>{value.toFixed(2)}</span>
      </span>
      <input
        type="range"
        min={least}
        max={1}
        step={0.01}
        value={value}
        onInput={(event) => change(Number(event.currentTarget.value))}
      />
    </label>
  );
}
