"""How files become drafts. 费率导入. Nothing is live before somebody has seen the whole difference.

Face: `imports.preview_import`, `imports.apply_import`, `jobs` (files that wait for a check and a decision), `plans`
(folders of six files, whose decks are `plan_decks`). `incoming` compares a file's rows with a deck set by set; formats
are read by `rating.formats`.
"""
