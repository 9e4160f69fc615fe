"""Charges priced again as people ask for it. 重批价.

`question` is what is asked, `runs` starts it as a run of the counter's command and finds it again, `pages` and `files`
show what it told, in the words of `wording`. Nothing is applied but what a dry run of the same organisation has shown.
"""
