"""The composition root: the only floor that knows every other one. Commands live in `app.commands`."""
