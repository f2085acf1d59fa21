#!/bin/bash
# Guess:   huggingface_hub reads its variables alike: a line end behind a value, as a settings file with Windows line ends
#          leaves it, is trimmed from a switch as it is from a token; and the older name of a switch counts unless the
#          newer one is set to something that means something.
# Truth:   Only tokens are cleaned. `HF_HUB_OFFLINE` counts as on if it is 1, ON, YES or TRUE and nothing else, so with
#          a line end behind it, it is off without a word, and requests go out. A blank in it also hides
#          `TRANSFORMERS_OFFLINE`, since any text is set. Trim what is put into these variables.
# Version: huggingface_hub 1.33.0
# Source:  huggingface_hub/constants.py, `_is_true` and `HF_HUB_OFFLINE`; utils/_auth.py, `_clean_token`
# Why:     Whoever turns the network off in a container believes that it is off. Models are looked up and fetched all the
#          same, or the job hangs at a firewall.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install huggingface_hub==1.33.0
export HOME=$folder
see() {
    env "$@" venv/bin/python -c '
from huggingface_hub import get_token, constants
print("offline:", constants.HF_HUB_OFFLINE, "token:", get_token())'
}
venv/bin/pip list 2>/dev/null | grep huggingface
{
    see HF_HUB_OFFLINE=1 HF_TOKEN=hf_a
    see HF_HUB_OFFLINE=$'1\n' HF_TOKEN=$'hf_a\n'
    see HF_HUB_OFFLINE= TRANSFORMERS_OFFLINE=1
    see HF_HUB_OFFLINE=' ' TRANSFORMERS_OFFLINE=1
} | tee seen
diff seen - <<'SEEN'
offline: True token: hf_a
offline: False token: hf_a
offline: True token: None
offline: False token: None
SEEN
