/** What the browser tells when a run ends, also when another window is in front: only where the user allowed it. */
import { get } from "./api.js";
import { status } from "./live.js";
import { effect, signal } from "./preact.js";
import { navigate } from "./router.js";
import { notifies } from "./preferences.js";

/** Browsers have it on HTTPS and on this machine's own address alone. */
export const supported = typeof Notification !== "undefined" && isSecureContext;

/** What the browser said: "default" before it was asked. */
export const permission = signal(supported ? Notification.permission : "denied");

/** Whether a run's end is told. */
export const isOn = () => supported && permission.value === "granted" && notifies.value;

/** Turn it on, for which the browser asks the user where it has not yet, or off. Called on a click alone. */
export async function toggle() {
  if (isOn()) {
    notifies.value = false;
    return;
  }
  if (permission.value === "default") permission.value = await Notification.requestPermission();
  notifies.value = permission.value === "granted";
}

/** @param {string} id of a run that was active and is no more */
async function tell(id) {
  const run = await get(`/api/runs/${id}`).catch(() => null);
  if (!run || run.state.alive) return;
  const failed = ["failed", "killed"].includes(run.state.outcome) || run.state.name === "lost";
  try {
    // Of the same tag, the notification of one window replaces that of another.
    const told = new Notification(`${run.name || id}: ${failed ? "failed" : "finished"}`,
      { body: run.state.reason, tag: `cpt-studio ${id} ${run.ended ?? ""}`, icon: "/ui/icon.svg" });
    told.onclick = () => {
      window.focus();
      navigate(`/runs/${id}`);
      told.close();
    };
  } catch {
    // Some browsers of phones show none that a page makes.
  }
}

/** Tell each end; the shell calls it once. */
export function startNotifications() {
  /** @type {string[]} */
  let before = [];
  effect(() => {
    if (!status.value) return;
    const now = (status.value.active || []).map((/** @type {any} */ run) => run.id);
    const gone = before.filter((id) => !now.includes(id));
    before = now;
    if (isOn()) gone.forEach((id) => void tell(id));
  });
}
