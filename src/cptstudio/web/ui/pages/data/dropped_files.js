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
 * @returns {Promise<{files: FoundFile[], unreadable: string[]}>}
 */
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? null);
  /** @type {FoundFile[]} */
  const files = [];
  /** @type {string[]} */
  const unreadable = [];
  if (entries.length === 0 || entries.some((entry) => entry === null)) {
    for (const file of transfer.files) files.push({ file, path: file.name });
    return { files, unreadable };
  }
  for (const entry of entries) {
    if (entry !== null) await collect(entry, files, unreadable);
  }
  return { files, unreadable };
}

/**
 * What a file input holds.
 * @param {FileList} list
 * @returns {FoundFile[]}
 */
export function filesOfInput(list) {
  return [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

/**
 * @param {FileSystemEntry} entry
 * @param {FoundFile[]} files
 * @param {string[]} unreadable
 */
async function collect(entry, files, unreadable) {
  const path = entry.fullPath.replace(/^\/+/, "");
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
      for (const inner of portion) await collect(inner, files, unreadable);
    }
  } catch {
    unreadable.push(path);
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/**
 * @param {FileSystemDirectoryReader} reader
 * @returns {Promise<FileSystemEntry[]>}
 */
function portionOf(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}
