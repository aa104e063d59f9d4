"""Scenes: videos of several handwritten digits, and questions about them that nobody knew beforehand.

In the order of reading:

    script.py      what happens in a scene, as data
    actions.py     what a digit does, as curves over time
    staging.py     draws a script: who is there, where, and what each of them does
    rendering.py   a script as frames
    questions.py   questions of many families about a script, with their answers
    captions.py    a script in a few sentences
    table.py       scripts of many scenes as arrays
    clips.py       scenes and their questions as clips of a task
    timeline.py    scenes one after another: what happened when, and questions about what was seen before
    files.py       scenes as video files with scripts and questions, of seconds or of minutes
"""
