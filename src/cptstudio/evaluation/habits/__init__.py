"""Chat habits of a model: does it stop, keep its template, repeat itself, follow instructions?"""
