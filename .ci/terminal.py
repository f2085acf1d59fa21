"""Programs at a pseudo-terminal of 80 columns."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

COLUMNS = 80
# Longer than anything takes that is not broken, in seconds.
PATIENCE = 60
ESCAPE = re.compile(r"\x1b(?:\[([0-9;?<>=]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()].|[=>78])")


class Terminal:
    """A program at a terminal, and what it has printed there."""

    def __init__(self, command, environment, folder=None):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder or ".")
            size = struct.pack("HHHH", 24, COLUMNS, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.execvpe(command[0], command, environment)
        self.printed = ""

    def type(self, text):
        os.write(self.terminal, text.encode())

    def until(self, condition, what):
        """Reads until a condition holds of this terminal."""
        end = time.monotonic() + PATIENCE
        while not condition(self):
            if not self.read(end):
                sys.exit(f"{what}: there is only {self.plain()[-400:]!r}")

    def read(self, end):
        """Reads some more; false at the end, or when the time has come."""
        ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
        try:
            piece = os.read(self.terminal, 65536).decode(errors="replace") if ready else ""
        except OSError:
            piece = ""
        # Newer shells ask what terminal this is, and wait for the answer.
        if "\x1b[c" in piece or "\x1b[0c" in piece:
            self.type("\x1b[?6c")
        self.printed += piece
        return bool(piece)

    def forget(self):
        self.printed = ""

    def plain(self):
        """What was printed, without escape sequences."""
        return ESCAPE.sub("", self.printed)

    def screen(self):
        """The lines that a person sees, as far as programs move about in them."""
        lines, row, column, at = [""], 0, 0, 0
        while at < len(self.printed):
            escape = ESCAPE.match(self.printed, at)
            if escape:
                number = int(escape[1]) if (escape[1] or "").isdigit() else 1
                if escape[2] == "A":
                    row = max(0, row - number)
                elif escape[2] == "K":
                    lines[row] = lines[row][:column]
                elif escape[2] == "J":
                    lines[row] = lines[row][:column]
                    del lines[row + 1 :]
                at = escape.end()
                continue
            character = self.printed[at]
            at += 1
            if character == "\r":
                column = 0
            elif character == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            else:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + character + line[column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]

    def end(self):
        """Waits for the end of the program; returns the screen."""
        while self.read(time.monotonic() + PATIENCE):
            pass
        os.waitpid(self.process, 0)
        os.close(self.terminal)
        return self.screen()

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)
