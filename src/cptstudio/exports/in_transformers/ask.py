"""Says what transformers finds with a model folder loaded; run by a Python that the user named.

`python ask.py --versions` writes the versions of what it needs, a JSON object, null where one is
missing. `python ask.py FOLDER` reads {"prompts": [[id]], "counts": [n], "windows": [[id]]} from
standard input, and writes a line {"done": n} for each part and then {"greedy", "log_probs", "best",
"seconds"}; or {"error": a sentence}. It computes in float32 on the CPU, and runs no code that came
with the model. Older versions of Python and of transformers are used, too, so nothing newer than
Python 3.9 and transformers 4.40 is here.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from typing import Any, TextIO


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that are needed, without importing them."""
    found: dict[str, str | None] = {}
    for package in ("transformers", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def ask(folder: str, questions: dict[str, Any], said: TextIO) -> dict[str, Any]:
    """Return greedy texts, log-probabilities, and the seconds that the texts took."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, output_loading_info=True
    )
    if report["missing_keys"]:
        return {"error": f"weights are missing: {sorted(report['missing_keys'])[0]}"}
    model = model.float().eval()
    # What the model's own file says of sampling and of end tokens does not count here.
    model.generation_config = transformers.GenerationConfig(do_sample=False, pad_token_id=0)
    greedy, log_probs, best, seconds, done = [], [], [], 0.0, 0
    with torch.no_grad():
        for prompt, count in zip(questions["prompts"], questions["counts"]):  # noqa: B905
            ids = torch.tensor([prompt])
            begun = time.perf_counter()
            text = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count)
            seconds += time.perf_counter() - begun
            greedy.append(text[0, len(prompt) :].tolist())
            done += count
            print(json.dumps({"done": done}), file=said, flush=True)
        for tokens in questions["windows"]:
            logits = model(input_ids=torch.tensor([tokens[:-1]])).logits[0].float()
            targets = torch.tensor(tokens[1:])[:, None]
            found = torch.log_softmax(logits.double(), dim=-1).gather(-1, targets)[:, 0]
            log_probs.append(found.tolist())
            best.append(logits.argmax(dim=-1).tolist())
            done += len(tokens) - 1
            print(json.dumps({"done": done}), file=said, flush=True)
    return {"greedy": greedy, "log_probs": log_probs, "best": best, "seconds": seconds}


def main() -> None:
    """Answer one request; libraries that print do so to standard error."""
    said, sys.stdout = sys.stdout, sys.stderr
    if sys.argv[1] == "--versions":
        print(json.dumps(versions()), file=said, flush=True)
        return
    questions = json.load(sys.stdin)
    try:
        answer = ask(sys.argv[1], questions, said)
    except Exception as error:
        # Whatever it is, it is the answer: transformers cannot use the folder.
        answer = {"error": (str(error).strip() or repr(error)).splitlines()[0][:500]}
    print(json.dumps(answer), file=said, flush=True)


if __name__ == "__main__":
    main()
