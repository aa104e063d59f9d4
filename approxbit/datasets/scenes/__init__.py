"""Scenes: videos of several handwritten digits, and questions about them that nobody knew beforehand.

    script.py      what happens in a scene, as data
    actions.py     what a digit does, as curves over time
    staging.py     draws a script: who is there, where, and what each of them does
    rendering.py   a script as frames
    questions.py   questions of many families about a script, with their answers
    captions.py    a script in a sentence or two
    clips.py       scenes and their questions as clips of a task
    files.py       scenes as video files with scripts and questions, of seconds or of minutes
"""
