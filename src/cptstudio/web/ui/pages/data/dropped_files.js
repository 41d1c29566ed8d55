/**
 * The files behind a drop or a file input, folders included, with their paths inside what was
 * dropped. Browsers give a folder's entries in portions; all portions are read.
 */

/**
 * @typedef {object} FoundFile
 * @property {File} file
 * @property {string} path relative to what was dropped, with "/" between its parts
 */

/**
 * What a drop holds. Must be called while the event is handled: the browser forgets the entries
 * afterwards.
 * @param {DataTransfer} transfer
 * @param {(name: string, folder: boolean) => boolean} [skips] what is left aside for its name, so
 *   that folders of ten thousand packages are not even listed
 * @returns {Promise<{files: FoundFile[], unreadable: string[], skipped: string[]}>}
 */
export async function filesOfDrop(transfer, skips = () => false) {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? null);
  /** @type {FoundFile[]} */
  const files = [];
  /** @type {string[]} */
  const unreadable = [];
  /** @type {string[]} */
  const skipped = [];
  if (entries.length === 0 || entries.some((entry) => entry === null)) {
    for (const file of transfer.files) files.push({ file, path: file.name });
    return { files, unreadable, skipped };
  }
  for (const entry of entries) {
    // What was dropped itself was chosen; only what lies in it is left aside unasked.
    if (entry !== null) await collect(entry, { files, unreadable, skipped, skips }, true);
  }
  return { files, unreadable, skipped };
}

/** What a file input holds. @param {FileList} list @returns {FoundFile[]} */
export function filesOfInput(list) {
  return [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

/**
 * @param {FileSystemEntry} entry
 * @param {{files: FoundFile[], unreadable: string[], skipped: string[],
 *   skips: (name: string, folder: boolean) => boolean}} found
 * @param {boolean} dropped
 */
async function collect(entry, found, dropped = false) {
  const { files, unreadable, skipped, skips } = found;
  const path = entry.fullPath.replace(/^\/+/, "");
  if (!dropped && skips(entry.name, entry.isDirectory)) {
    skipped.push(path);
    return;
  }
  try {
    if (entry.isFile) {
      const file = await fileOf(/** @type {FileSystemFileEntry} */ (entry));
      files.push({ file, path });
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      const portion = await portionOf(reader);
      if (portion.length === 0) return;
      for (const inner of portion) await collect(inner, found);
    }
  } catch {
    unreadable.push(path);
  }
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** @param {FileSystemDirectoryReader} reader @returns {Promise<FileSystemEntry[]>} */
function portionOf(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}
