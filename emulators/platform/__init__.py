"""The parts of Google's platform that have no official emulator, in one process: identities and
signing, Secret Manager, Eventarc and push deliveries with the chaos switch, Scheduler.
"""
