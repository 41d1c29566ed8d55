/** Names of runs, corpora, models and suites: the rule of workspace.py, tested against it. */

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a text can be such a name. @param {string} name */
export const isName = (name) => NAME.test(name);

/** What is wrong with a name, "" when nothing is. @param {string} name @param {string} what it names */
export function nameProblem(name, what) {
  if (isName(name)) return "";
  if (name === "") return `Enter a name for the ${what}.`;
  return "Use 1 to 64 letters, digits, dots, underscores or hyphens, starting with a letter or digit.";
}
