"""Groups of commands that are more than a call: each file is one `keyturn …` group."""
