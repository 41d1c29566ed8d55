/** The machine: what there is to train on, and how much of it is free. */
import { Meter } from "../../components/figures.js";
import { Card } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { bytes, integer } from "../../lib/format.js";
import { machine } from "../../lib/machine.js";
import { h } from "../../lib/preact.js";

/** @param {{title: string, free: number, total: number}} props */
function Room({ title, free, total }) {
  const words = `${bytes(free)} free of ${bytes(total)}`;
  return h("div", { class: "room" },
    h("p", { class: "spread" }, h("span", {}, title), h("span", { class: "figures" }, words)),
    h(Meter, { label: `${title} in use`, value: total - free, max: total, text: words }));
}

export function Machine() {
  const found = machine.value;
  return h(Card, { title: "This machine", icon: "chip" },
    !found ? h(Skeleton, { label: "Loading…" }) : h("div", { class: "machine" },
      h("p", {}, h("strong", {}, found.device),
        h("span", { class: "muted" }, ` · ${integer(found.cpus)} ${found.cpus === 1 ? "core" : "cores"}`)),
      h(Room, { title: "Memory", free: found.memory_available, total: found.memory_total }),
      found.disk_total && h(Room, { title: "Disk", free: found.disk_free, total: found.disk_total }),
      h("p", { class: "hint break" }, "Workspace: ", h("code", {}, found.workspace))));
}
