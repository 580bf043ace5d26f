"""Robots of Gymnasium environments with ALOHA's layout: puppets, cameras, reward."""
