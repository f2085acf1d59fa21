#!/usr/bin/env python3
"""Types into real shells, presses TAB and compares what they offer: .ci/completion.py RACK SHELL...

RACK is the reference CLI with the publisher's side and the feature `unstable-completion`.
"""

import os
import re
import subprocess
import sys
import tempfile

from terminal import Terminal

# Prints the line that is being edited, whole, so that nothing depends on how a shell redraws it.
SHOW = "\x07"
# How each shell starts, what makes it quiet and lets it show its line, and what turns on the commands alone.
SHELLS = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        "PS1='> '; bind 'set enable-bracketed-paste off'; bind -x '\"\\C-g\": echo \"<<$READLINE_LINE>>\"'\n",
        "source <(rack completions bash)",
    ),
    "zsh": (
        ["-f", "-i"],
        "PS1='> '; unset zle_bracketed_paste; autoload -U compinit; compinit -u\n"
        'show() { print -r -- "<<$BUFFER>>"; zle reset-prompt }; zle -N show; bindkey "^G" show\n',
        "source <(rack completions zsh)",
    ),
    "fish": (
        ["--no-config", "-i"],
        "function fish_prompt; echo '> '; end; set -g fish_autosuggestion_enabled 0\n"
        "bind \\cg 'echo \"<<\"(commandline)\">>\"; commandline -f repaint'\n",
        "rack completions fish | source",
    ),
}
# What is typed before TAB, and the line that it becomes, or several words that are offered.
CASES = {
    "static": [
        ("rack mod", "rack models"),
        ("rack models pu", "rack models pull"),
        ("rack models verify --rep", "rack models verify --repair"),
    ],
    "dynamic": [
        ("rack models pu", "rack models pull"),
        ("rack models remove ", ["digits/logistic", "speech/tiny"]),
        ("rack models remove d", "rack models remove digits/logistic"),
        ("rack models remove digits@v2", "rack models remove digits@v2/logistic"),
        ("rack models remove speech/tiny@", "rack models remove speech/tiny@v9"),
        ("rack models remove digits/logistic ", ["v1", "v2"]),
        ("rack models remove speech/tiny v", "rack models remove speech/tiny v9"),
        ("rack models pull digits/logistic lat", "rack models pull digits/logistic latest"),
        ("rack models sync --source ", ["digits", "hf", "mf6/test", "modflow6-testmodels"]),
        ("rack models sync --source modflow6-t", "rack models sync --source modflow6-testmodels"),
        ("rack models sync --ref dev", "rack models sync --ref develop"),
    ],
}


def line_of(terminal):
    """The line as the shell showed it, wherever it broke it."""
    shown = re.findall(r"<<(.*?)>>", terminal.plain(), re.DOTALL)
    return re.sub(r"[\r\n]", "", shown[-1]).rstrip() if shown else None


def names_too(name):
    """The line of README.md that turns on names in a shell."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "README.md")
    with open(path, encoding="utf-8") as readme:
        lines = [line.split("  #")[0] for line in readme if f"COMPLETE={name} tool" in line]
    return lines[0].replace("tool", "rack")


def check(name, kind, environment):
    arguments, quiet, commands_only = SHELLS[name]
    turn_on = commands_only if kind == "static" else names_too(name)
    for typed, expected in CASES[kind]:
        what = f"{name}, {kind}: {typed!r}"
        shell = Terminal([name, *arguments], environment)
        # In two pieces, so that the echo of the command is not its output.
        shell.type(f"{quiet}{turn_on}\necho rea''dy\n")
        shell.until(lambda shell: "ready" in shell.plain(), what)
        shell.forget()
        if isinstance(expected, list):
            # Some shells list at the second TAB.
            shell.type(typed + "\t\t")
            shell.until(lambda shell: all(word in shell.plain()[len(typed) :] for word in expected), what)
        else:
            shell.type(typed + "\t" + SHOW)
            shell.until(line_of, what)
            if line_of(shell) != expected:
                sys.exit(f"{what} became {line_of(shell)!r}, not {expected!r}")
        shell.kill()
        print(f"{what}: {expected}")


def main():
    rack, shells = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as home:
        os.symlink(rack, os.path.join(home, "rack"))
        registry, model = os.path.join(home, "registry"), os.path.join(home, "tiny.bin")
        environment = {
            "HOME": home,
            "PATH": f"{home}:{os.environ['PATH']}",
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "RACK_MODELS_REGISTRY_URL": f"file://{registry}",
        }
        with open(model, "w", encoding="utf-8") as file:
            file.write("tiny")
        for line in [
            f"registry publish {model} --to {registry} --group speech --version v9",
            "pull digits/logistic v1",
            "pull digits/logistic v2",
            "pull speech/tiny v9",
        ]:
            subprocess.run([rack, "models", *line.split(), "--quiet"], env=environment, check=True)
        for shell in shells:
            for kind in CASES:
                check(shell, kind, environment)


main()
