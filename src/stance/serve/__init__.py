"""The predictor over HTTP, and a page for people: `stance serve`.

`server` starts processes and sockets, `connection` and `guard` keep clients in bounds, `queue` is
the one line that all requests wait in, `app` the routes, `page/` what a browser gets. Nothing here
decides a label: answers are `Prediction.to_dict` and `SentencePrediction.to_dict`.
"""
