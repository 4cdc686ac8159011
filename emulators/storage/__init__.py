"""A strict Cloud Storage for the laptop: it verifies what the real service verifies.

Layers, each knowing only those before it: `errors`, `model`, `content` (bytes on disk), `store`
(generations, preconditions, versions), then the transports (`json_api`, `xml_api`, `resumable`,
`batch`) and `app`, which routes between them.
"""
