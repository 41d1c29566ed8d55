"""Models served: an endpoint that speaks OpenAI's API, as a process that outlives the studio."""
