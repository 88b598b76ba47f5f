"""The predictor over HTTP, and a page for people: `stance serve`.

`server` starts processes and sockets, `connection` and `guard` keep clients in bounds, `queue` is
the one line that all requests wait in, `service` does what the routes of `app` stand for, `page/`
is what a browser gets. Nothing here decides a label: answers are `Prediction.to_dict`,
`SentencePrediction.to_dict` and what `stance.summary` and `stance.html` make of them.
"""
