"""Chat endpoints in OpenAI's form that the user named: hosts, keys, requests, cost."""
