/** Images: the list of the store, only what is seen of it in the page; and uploads. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api } from "../work/api";
import { loadMore, open, show, upload } from "../work/browsing";
import { current, filter, images, more } from "../work/state";
import type { RecordSummary } from "../words";

const ROW = 72;
const BEYOND = 4;
const STATES = [
  ["", "All images"],
  ["unreviewed", "To be reviewed"],
  ["flagged", "Flagged"],
  ["accepted", "Accepted"],
  ["rejected", "Rejected"],
] as const;

export function Images() {
  const list = useRef<HTMLDivElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const sought = useRef<number | undefined>(undefined);
  const top = useSignal(0);
  const height = useSignal(600);

  useEffect(() => {
    const watcher = new ResizeObserver(() => {
      height.value = list.current?.clientHeight ?? 600;
    });
    watcher.observe(list.current!);
    return () => watcher.disconnect();
  }, []);

  const first = Math.max(0, Math.floor(top.value / ROW) - BEYOND);
  const last = Math.min(images.value.length, Math.ceil((top.value + height.value) / ROW) + BEYOND);
  useEffect(() => {
    if (more.value !== null && last > images.value.length - 20) void loadMore();
  }, [last, more.value]);
  useEffect(() => {
    const place = images.value.findIndex(({ id }) => id === current.value?.id);
    const box = list.current!;
    // Once for each image that is opened: whoever scrolls on, so that more is loaded, is not taken back.
    if (place < 0 || sought.current === current.value?.id) return;
    sought.current = current.value?.id;
    if (place * ROW < box.scrollTop) box.scrollTop = place * ROW;
    else if ((place + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (place + 1) * ROW - box.clientHeight;
  }, [current.value?.id, images.value.length]);

  return (
    <nav class="images" aria-label="Images">
      <div class="images-head">
        <select
          aria-label="Which images"
          value={filter.value ?? ""}
          onChange={(event) => void show(event.currentTarget.value || null)}
        >
          {STATES.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
        <button type="button" class="primary" onClick={() => picker.current?.click()}>
          Upload
        </button>
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-label="Images to upload"
          onChange={(event) => {
            const input = event.currentTarget;
            void upload([...(input.files ?? [])]).then(() => (input.value = ""));
          }}
        />
      </div>
      <div class="images-list" ref={list} onScroll={(event) => (top.value = event.currentTarget.scrollTop)}>
        <ul style={{ height: `${images.value.length * ROW}px` }}>
          {images.value.slice(first, last).map((each, index) => (
            <Row key={each.id} each={each} place={first + index} />
          ))}
        </ul>
        {!images.value.length && more.value === null && <p class="hint">No images here. Upload some, or drop them on the page.</p>}
      </div>
    </nav>
  );
}

function Row({ each, place }: { each: RecordSummary; place: number }) {
  const open_ = current.value?.id === each.id;
  const count = Object.values(each.masks).reduce((sum, number) => sum + (number ?? 0), 0);
  return (
    <li style={{ transform: `translateY(${place * ROW}px)` }}>
      <button
        type="button"
        class={open_ ? "row open" : "row"}
        aria-current={open_ ? "true" : undefined}
        onClick={() => void open(each.id)}
        title={each.file_name}
      >
        {each.has_image ? <img src={api.thumbnailUrl(each.id)} alt="" loading="lazy" width="56" height="56" /> : <span class="no-picture" />}
        <span class="row-words">
          <span class="row-name">{each.file_name}</span>
          <span class="row-more">
            {each.size[1]}×{each.size[0]} · {count === 1 ? "1 mask" : `${count} masks`}
            {each.masks.flagged ? <span class="flagged"> · {each.masks.flagged} flagged</span> : null}
          </span>
        </span>
      </button>
    </li>
  );
}
