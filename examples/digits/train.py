# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "safetensors==0.8.0", "scikit-learn==1.9.1", "threadpoolctl==3.8.0"]
# ///
"""Trains the small digit classifier that the example registry carries.

    python train.py                         both versions and samples.json, next to this script
    python train.py --output DIR            the same into DIR
    python train.py --output DIR --only v2  one model folder, DIR/v2

v1 learns from the first half of the training images, v2 from all of them. With the versions above, every run writes
the same bytes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import sklearn
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

SEED = 0
TEST_SHARE = 0.25
SCALE = 16  # pixels are integers from 0 to 16
TRAINING_SHARE = {"v1": 0.5, "v2": 1.0}
LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

CARD = """\
# Handwritten digits, {version}

A multinomial logistic regression that tells handwritten digits apart: an 8x8 grey image in, one of ten classes out.

- **Trained on** {train_images} images of the optical recognition of handwritten digits data set, in the copy bundled
  with scikit-learn {sklearn} (`sklearn.datasets.load_digits`, 1797 images). Its description there names E. Alpaydin as
  the creator (July 1998), refers to E. Alpaydin, C. Kaynak (1998), Cascading Classifiers, Kybernetika, and calls it a
  copy of the test set of the UCI ML hand-written digits datasets
  (<https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits>).
- **Measured accuracy:** {accuracy:.2%} ({correct} of {test_images} held-out images; split by image, not by writer).
- **Files:** `model.safetensors` (float32 `weight` [10, 64] and `bias` [10]), `config.json`, `labels.json`.

## Use

`pixels` are the 64 integers (0 to 16) of the image, row by row from the top left:

```text
logits = weight @ (pixels / 16) + bias
```

The class is the index of the largest logit; `labels.json` names it.
"""


def split():
    """The images as (train pixels, test pixels, train labels, test labels, test rows in the data set)."""
    pixels, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test, _, rows = train_test_split(
        pixels, labels, np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=SEED
    )
    return x_train, x_test, y_train, y_test, rows


def train(pixels, labels):
    """Returns (weight [10, 64], bias [10]) as float32.

    A Newton solver run to convergence on one thread, then rounding to multiples of 1/4096: differences in the last
    digits of the arithmetic do not reach the file.
    """
    with threadpool_limits(limits=1):
        model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=100)
        model.fit(pixels / SCALE, labels)
    bias = model.intercept_ - model.intercept_.mean()  # a shift shared by all classes changes nothing
    # Adding zero turns -0.0 into 0.0. The solver returns columns first, which save_file would write as they lie.
    return tuple((np.round(a * 4096) / 4096 + 0.0).astype(np.float32, order="C") for a in (model.coef_, bias))


def predict(weight, bias, pixels):
    """The class of each row of pixels, with the formula of the model card."""
    return np.argmax((pixels / SCALE) @ weight.T.astype(np.float64) + bias, axis=1)


def write_text(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_weights(path, weight, bias):
    """Writes the weights file and returns what reading it back gives, so that the file itself is measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One key only: safetensors does not promise an order of several.
    save_file({"weight": weight, "bias": bias}, path, metadata={"format": "np"})
    tensors = load_file(path)
    return tensors["weight"], tensors["bias"]


def write_texts(folder, version, train_images, correct, test_images):
    """Writes the configuration, the labels and the model card."""
    accuracy = correct / test_images
    config = {
        "model_type": "logistic_regression",
        "architectures": ["MultinomialLogisticRegression"],
        "version": version,
        "image_size": 8,
        "num_channels": 1,
        "num_features": 64,
        "num_labels": len(LABELS),
        "input_min": 0,
        "input_max": SCALE,
        "input_scale": 1 / SCALE,
        "dtype": "float32",
        "train_images": train_images,
        "test_images": test_images,
        "test_correct": correct,
        "test_accuracy": round(accuracy, 4),
        "training_library": f"scikit-learn {sklearn.__version__}",
    }
    write_json(folder / "config.json", config)
    write_json(folder / "labels.json", {str(i): label for i, label in enumerate(LABELS)})
    card = CARD.format(
        version=version,
        train_images=train_images,
        sklearn=sklearn.__version__,
        accuracy=accuracy,
        correct=correct,
        test_images=test_images,
    )
    write_text(folder / "README.md", card)


def write_samples(path, predictions, pixels, labels, rows):
    """Two held-out images of each digit that both versions get right, then four that v2 alone gets right."""
    right = {version: predicted == labels for version, predicted in predictions.items()}
    both = right["v1"] & right["v2"]
    chosen = [i for digit in range(10) for i in np.flatnonzero(both & (labels == digit))[:2]]
    chosen += list(np.flatnonzero(~right["v1"] & right["v2"])[:4])
    lines = []
    for i in chosen:
        sample = {
            "row": int(rows[i]),
            "label": int(labels[i]),
            "predicted": {version: int(predicted[i]) for version, predicted in predictions.items()},
            "pixels": pixels[i].astype(int).tolist(),
        }
        lines.append("    " + json.dumps(sample, separators=(",", ":")))
    about = (
        "Held-out images of sklearn.datasets.load_digits, none of them trained on. 'row' counts from 0 in that data "
        "set. v2 gets all of them right, v1 all but the last four; this is a selection, not a measure of accuracy."
    )
    write_text(path, f'{{\n  "about": {json.dumps(about)},\n  "samples": [\n' + ",\n".join(lines) + "\n  ]\n}\n")


def main():
    parser = argparse.ArgumentParser(description="Train the digit classifier of the example registry.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--only", choices=sorted(TRAINING_SHARE), help="write this model folder and nothing else")
    args = parser.parse_args()

    x_train, x_test, y_train, y_test, rows = split()
    predictions = {}
    for version in [args.only] if args.only else sorted(TRAINING_SHARE):
        count = int(len(x_train) * TRAINING_SHARE[version])
        trained = train(x_train[:count], y_train[:count])
        weight, bias = write_weights(args.output / version / "model.safetensors", *trained)
        predictions[version] = predict(weight, bias, x_test)
        correct = int((predictions[version] == y_test).sum())
        write_texts(args.output / version, version, count, correct, len(y_test))
        print(f"{version}: trained on {count} images, {correct} of {len(y_test)} right ({correct / len(y_test):.2%})")
    if not args.only:
        write_samples(args.output / "samples.json", predictions, x_test, y_test, rows)


if __name__ == "__main__":
    main()
