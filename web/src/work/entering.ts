/** Entering: what happens when the page opens, and when someone signs in. */

import { api, whenSignedOut } from "./api";
import { loadMore, open } from "./browsing";
import { categories, complain, images, message, say, session, sync } from "./state";

/** Find out who asks. */
export async function begin(): Promise<void> {
  whenSignedOut(() => {
    const now = session.peek();
    if (now?.user) session.value = { ...now, user: null };
  });
  window.addEventListener("online", () => sync.wake());
  try {
    const now = await api.session();
    session.value = now;
    if (now.user || !now.login_required) await enter();
  } catch (error) {
    complain(error);
    setTimeout(() => void begin(), 2000);
  }
}

export async function enter(): Promise<void> {
  message.value = null;
  const user = session.peek()?.user?.name ?? "local";
  await sync.start(user).catch(() => say("This browser keeps nothing: what is not saved is lost when it is closed", true));
  sync.wake();
  const named = opened();
  const [, kept] = await Promise.all([
    loadMore(),
    api.categories().catch(() => null),
    named ? open(Number(named[1])) : undefined,
  ]);
  if (kept) categories.value = kept.categories;
  const first = images.peek()[0];
  // Unless an image was opened from the list while that was read.
  if (!opened() && first) await open(first.id);
}

const opened = () => /^\/images\/(\d+)$/.exec(window.location.pathname);
