"""Why is this the price? 费用解释. How a question is read, what is known around it, how the answer is shown and redone.

The one function is `rating.explain.explain`; here are its words: `explanation` (JSON), `shown` and `sentence` (people),
`again` (a stored charge priced again from nothing but what was stored with it), `page` (test a number).
"""
